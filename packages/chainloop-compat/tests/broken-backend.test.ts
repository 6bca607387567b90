import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { ByteStream } from "@attestry/api/bytestream";
import { BackendService, BackendStatus } from "@attestry/api/run";
import { describeWith } from "@attestry/dev-env";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, type CommandLine, chainloopToken, commandLine, initialize, sha256 } from "./command-line.ts";

describeWith(["minio"], "with credentials of the store that are good no more", () => {
  let attestry: Constellation;
  let cli: CommandLine;

  beforeAll(async () => {
    attestry = await startConstellation({ shape: "one-process", backend: "s3", skipDbStorage: "true" });
    cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  /** What a call fails with, within the time in which a person would wait for it. */
  async function failure(call: Promise<unknown>): Promise<{ error: ConnectError; line: string }> {
    const begun = performance.now();
    const thrown = await call.then(() => new Error("it did not fail")).catch((error: unknown) => error);
    const error = ConnectError.from(thrown);
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(error.rawMessage).not.toContain("\n");
    return { error, line: error.rawMessage };
  }

  test("add and push name the backend and its fault, init too once it was validated; lists go on", async () => {
    const workflowRunId = await initialize(cli);
    const { result } = await cli.attestations.getUploadCreds({ workflowRunId });
    const file = path.join(attestry.secretsDir, "_shared", "minio.json");
    const secret = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify({ ...secret, secretKey: "has-run-out" }));

    const blob = Buffer.from("a file");
    const written = createClient(ByteStream, createGrpcTransport({ baseUrl: attestry.casUrl }));
    const add = () =>
      written.write(
        (async function* () {
          const name = `uploads/019ac000-0000-4000-8000-000000000000/blobs/${sha256(blob)}/${blob.length}`;
          yield { resourceName: name, data: blob, finishWrite: true };
        })(),
        { headers: { authorization: `Bearer ${result?.token}` } },
      );
    const added = await failure(untilItFails(add));
    const fault =
      "backend minio: the object store answered SignatureDoesNotMatch: correct the access key and the secret key in its secret";
    expect(added.line).toBe(fault);
    expect([reasonOf(added.error), added.error.code]).toEqual(["BACKEND_MISCONFIGURED", Code.FailedPrecondition]);

    const pushed = await failure(cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({}) }));
    expect(pushed.line).toBe(`the bundle could not be uploaded: ${fault}`);
    expect(pushed.error.code).toBe(Code.FailedPrecondition);

    const backends = createClient(BackendService, createGrpcTransport({ baseUrl: attestry.runUrl }));
    const headers = { authorization: `Bearer ${attestry.adminToken}` };
    const { backend } = await backends.validate({ name: "minio" }, { headers });
    expect(backend?.status).toBe(BackendStatus.INVALID);
    const begun = await failure(cli.attestations.init({ workflowName: "build", projectName: "demo" }));
    expect([begun.error.code, begun.line]).toEqual([
      Code.FailedPrecondition,
      `the CAS backend minio can't be reached: ${backend?.validationError}`,
    ]);
    expect((await cli.runs.list({})).result.length).toBeGreaterThan(0);
  });
});

describe("with a folder that is gone", () => {
  let attestry: Constellation;
  let cli: CommandLine;

  beforeAll(async () => {
    attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
    cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  test("a CAS that cannot be reached is named by init, with its fault; lists go on", async () => {
    await initialize(cli, "before");
    await rename(attestry.casDir, `${attestry.casDir}-gone`);
    try {
      const backends = createClient(BackendService, createGrpcTransport({ baseUrl: attestry.runUrl }));
      const headers = { authorization: `Bearer ${attestry.adminToken}` };
      const { backend } = await backends.validate({ name: "local" }, { headers });
      const asked = { workflowName: "before", projectName: "demo" };
      const error = ConnectError.from(await cli.attestations.init(asked).catch((thrown: unknown) => thrown));
      expect([error.code, error.rawMessage]).toEqual([
        Code.FailedPrecondition,
        `the CAS backend local can't be reached: ${backend?.validationError}`,
      ]);
      expect((await cli.runs.list({})).result.length).toBeGreaterThan(0);
    } finally {
      await rename(`${attestry.casDir}-gone`, attestry.casDir);
    }
  });
});

/** The gateway looks at its secrets anew every few seconds. */
async function untilItFails(call: () => Promise<unknown>): Promise<void> {
  const ends = performance.now() + 8_000;
  while (performance.now() < ends) {
    await call();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
