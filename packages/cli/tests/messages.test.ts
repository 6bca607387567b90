import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@attestry/api/health";
import { BackendService, BackendStatus, CredentialService, OrganizationService } from "@attestry/api/run";
import type { ConnectRouter } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Code, type FakeServer, hang, refusal, startFakeServer } from "./fake-server.ts";
import { runId } from "./fake-store.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

let folder = "";
let server: FakeServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-"));
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

afterAll(() => rm(folder, { recursive: true }));

async function serve(routes: (router: ConnectRouter) => void): Promise<string[]> {
  server = await startFakeServer(routes);
  return ["--addr", server.url];
}

describe("files", () => {
  test.each([
    [["store", "missing.json", "--run", runId], "error: no such file: missing.json (FILE_UNREADABLE)\n"],
    [["store", ".", "--run", runId], "error: . is a folder (FILE_UNREADABLE)\n"],
    [["blob", "put", "missing.json"], "error: no such file: missing.json (FILE_UNREADABLE)\n"],
    [["blob", "put", "."], "error: . is a folder (FILE_UNREADABLE)\n"],
  ])("%j", async (args, message) => {
    const { code, stderr } = await attestry(args, { cwd: folder });
    expect(stderr).toBe(message);
    expect(code).toBe(1);
  });
});

describe("blob put", () => {
  test("asks for a token in each attempt, says why it waits, and ends with the real cause", async () => {
    let tokens = 0;
    const addr = await serve((router) => {
      router.service(CredentialService, {
        issueCasToken() {
          tokens++;
          throw refusal(Code.Unavailable, "CAS_UNAVAILABLE", "the backend does not answer", 1_500);
        },
      });
    });
    const file = path.join(folder, "blob.bin");
    await writeFile(file, createHash("sha256").update("x").digest());
    const { code, stderr } = await attestry([...addr, "--token", "t", "blob", "put", file, "--timeout", "5s"]);
    expect(tokens).toBeGreaterThan(1);
    expect(stderr).toContain("trying again: the backend does not answer (CAS_UNAVAILABLE)\n");
    expect(stderr).toContain("error: the backend does not answer (CAS_UNAVAILABLE)\n");
    expect(code).toBe(5);
  });
});

describe("hints", () => {
  test("an address of another service", async () => {
    const addr = await serve((router) => {
      router.service(OrganizationService, {
        list() {
          const message = "attestry.run.v1.OrganizationService/List is not served here";
          throw refusal(Code.Unimplemented, "METHOD_UNKNOWN", message);
        },
      });
    });
    const { stderr } = await attestry([...addr, "--token", "t", "org", "list"]);
    expect(stderr).toContain("hint: this address is not workflow-run: set --run-addr or ATTESTRY_RUN_ADDR");
  });

  test("a higher role: the command that makes such a token has all that it needs", async () => {
    const addr = await serve((router) => {
      router.service(OrganizationService, {
        update() {
          throw refusal(Code.PermissionDenied, "ROLE_INSUFFICIENT", "Update needs the role admin; came ci");
        },
      });
    });
    const { stderr } = await attestry([...addr, "--token", "t", "org", "update", "--storage-mode", "cas"]);
    expect(stderr).toContain("`attestry token create --name NAME --role ROLE`");
  });

  test("only an instance admin can, and where the token came from", async () => {
    await writeFile(path.join(folder, "admin-token"), "secret\n");
    const addr = await serve((router) => {
      router.service(OrganizationService, {
        create() {
          const message = "Create needs the API token of an instance admin; came an API token with the role admin";
          throw refusal(Code.PermissionDenied, "ROLE_INSUFFICIENT", message);
        },
      });
    });
    const env = { ATTESTRY_DATA_DIR: folder };
    const { code, stderr } = await attestry([...addr, "org", "create", "acme"], { env });
    expect(stderr).toContain("hint: only an instance admin can do this");
    expect(stderr).toContain(`(the token came from ${path.join(folder, "admin-token")})\n`);
    expect(code).toBe(4);
  });

  test("validate does not send to validate", async () => {
    const backend = { name: "b", status: BackendStatus.INVALID, validationError: "no bucket" };
    const addr = await serve((router) => router.service(BackendService, { validate: () => ({ backend }) }));
    const { code, stderr } = await attestry([...addr, "--token", "t", "backend", "validate", "b"]);
    expect(stderr).toBe("error: the backend b does not work: no bucket (BACKEND_INVALID)\n");
    expect(code).toBe(1);
  });

  test("what a store does not know is marked in the list and told by validate", async () => {
    const backend = { name: "b", status: BackendStatus.VALID, validationNotes: ["no checksums", "no conditional PUT"] };
    const addr = await serve((router) =>
      router.service(BackendService, { validate: () => ({ backend }), list: () => ({ backends: [backend] }) }),
    );
    const validated = await attestry([...addr, "--token", "t", "backend", "validate", "b"]);
    expect(validated.stdout).toMatch(/notes +no checksums; no conditional PUT\n/);
    expect(validated.code).toBe(0);
    const listed = await attestry([...addr, "--token", "t", "backend", "list"]);
    expect(listed.stdout).toMatch(/valid \(2 notes\)/);
    const json = await attestry([...addr, "--token", "t", "backend", "list", "-o", "json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ backends: [{ validationNotes: backend.validationNotes }] });
  });

  test("a deadline names who did not answer", async () => {
    const addr = await serve((router) => router.service(OrganizationService, { list: hang }));
    const { stderr } = await attestry([...addr, "--token", "t", "org", "list", "--timeout", "500ms"]);
    expect(stderr).toContain(`workflow-run at ${addr[1]} did not answer in the time given`);
  });

  test("a bad argument is named", async () => {
    const { stderr } = await attestry(["run", "cancel", "nope"]);
    expect(stderr).toBe("error: <id> is invalid: 'nope'. Expected a run's UUID.\n");
  });
});

test("status tells what is not served from what is not ready", async () => {
  const addr = await serve((router) => {
    router.service(Health, {
      check({ service }) {
        if (service.startsWith("attestry.run.")) throw refusal(Code.NotFound, "SERVICE_UNKNOWN", "not served here");
        return { status: service.startsWith("attestry.cas.") ? ServingStatus.NOT_SERVING : ServingStatus.SERVING };
      },
    });
  });
  const { code, stdout } = await attestry([...addr, "status"]);
  expect(stdout).toMatch(/workflow-run +not served here .*--run-addr/);
  expect(stdout).toMatch(/attestation-ingest +up/);
  expect(stdout).toMatch(/cas-gateway +not ready .*readyz/);
  expect(stdout).not.toContain("VERSION");
  expect(code).toBe(5);
});
