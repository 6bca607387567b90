import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { AttestationService } from "@attestry/api/ingest";
import { WorkflowService } from "@attestry/api/run";
import type { ServiceImpl } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Code, hang, refusal, startFakeServer } from "./fake-server.ts";
import { runId, serve } from "./fake-store.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

const bundle = Buffer.from('{"payloadType":"application/vnd.in-toto+json"}');
const digest = `sha256:${createHash("sha256").update(bundle).digest("hex")}`;

let folder = "";
let fake: Awaited<ReturnType<typeof serve>> | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-"));
});

afterEach(async () => {
  await fake?.stop();
  fake = undefined;
});

afterAll(() => rm(folder, { recursive: true }));

async function serveWith(attestations: Parameters<typeof serve>[0]) {
  fake = await serve(attestations);
  return fake;
}

describe("get", () => {
  function download(announced: string, bytes: Buffer): Partial<ServiceImpl<typeof AttestationService>> {
    return {
      async *download() {
        const value = { digest: announced, runId, sizeBytes: BigInt(bundle.length), tokenId: "stored-by" };
        yield { part: { case: "attestation", value } };
        yield { part: { case: "chunk", value: bytes.subarray(0, 10) } };
        yield { part: { case: "chunk", value: bytes.subarray(10) } };
      },
    };
  }

  test("writes the bytes to stdout or a file", async () => {
    const { addr } = await serveWith(download(digest, bundle));
    expect((await attestry([...addr, "get", digest])).stdoutBytes).toEqual(bundle);
    const target = path.join(folder, "got.json");
    const { code, stderr } = await attestry([...addr, "get", runId, "-o", target]);
    expect(stderr).toContain(digest);
    expect(code).toBe(0);
    expect(await readFile(target)).toEqual(bundle);
  });

  test("describes it with -o json and -o table", async () => {
    const { addr } = await serveWith(download(digest, bundle));
    const { stdout, code } = await attestry([...addr, "get", digest, "-o", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({ digest, runId, sizeBytes: bundle.length, tokenId: "stored-by" });
    expect(code).toBe(0);
    expect((await attestry([...addr, "get", digest, "-o", "table"])).stdout).toMatch(/^token +stored-by$/m);
  });

  test.each([
    ["one byte changed", Buffer.from(bundle.toString().replace("in-toto", "in-tota"))],
    ["cut short", bundle.subarray(0, -1)],
    ["one byte more", Buffer.concat([bundle, Buffer.from(" ")])],
  ])("writes nothing that is not what was stored: %s", async (_what, bytes) => {
    const { addr } = await serveWith(download(digest, bytes));
    const before = await readdir(folder);
    const { code, stderr } = await attestry([...addr, "get", digest, "-o", path.join(folder, "bad.json")]);
    expect(stderr).toContain("(CONTENT_CORRUPT)");
    expect(code).toBe(6);
    expect(await readdir(folder)).toEqual(before);
    const piped = await attestry([...addr, "get", digest]);
    expect(piped.stdout).toBe("");
    expect(piped.code).toBe(6);
  });

  test("an attestation with another digest is not what was asked for", async () => {
    const other = `sha256:${"00".repeat(32)}`;
    const { addr } = await serveWith(download(digest, bundle));
    const { code, stderr } = await attestry([...addr, "get", other]);
    expect(stderr).toContain(`asked for ${other}`);
    expect(code).toBe(6);
  });

  test("not found", async () => {
    const { addr } = await serveWith({
      download() {
        throw refusal(Code.NotFound, "ATTESTATION_NOT_FOUND", "no such attestation");
      },
    });
    const { code, stderr } = await attestry([...addr, "get", digest]);
    expect(stderr).toContain("(ATTESTATION_NOT_FOUND)");
    expect(stderr).toContain("hint: ");
    expect(code).toBe(3);
  });
});

describe("lists", () => {
  test("go on page by page up to the limit", async () => {
    const sizes: number[] = [];
    const server = await startFakeServer((router) => {
      router.service(WorkflowService, {
        list({ pageSize, pageToken }) {
          sizes.push(pageSize);
          const from = Number(pageToken);
          const workflows = Array.from({ length: pageSize }, (_, i) => ({
            id: String(from + i),
            project: "p",
            name: "w",
          }));
          return { workflows, nextPageToken: String(from + pageSize) };
        },
      });
    });
    const list = ["--addr", server.url, "--token", "t", "workflow", "list", "--limit", "450"];
    const { stdout, code } = await attestry([...list, "-o", "json"]);
    const answer = JSON.parse(stdout) as { workflows: { id: string }[]; nextPageToken: string };
    expect(answer.workflows.map(({ id }) => Number(id))).toEqual(Array.from({ length: 450 }, (_, i) => i));
    expect(answer.nextPageToken).toBe("450");
    expect(sizes).toEqual([200, 200, 50]);
    expect(code).toBe(0);
    expect((await attestry(list)).stderr).toBe("more: --page-token 450\n");
    await server.stop();
  });
});

describe("servers and tokens", () => {
  test("nobody listens: exit code 5 within 3 s, and a hint", async () => {
    const { code, stderr, milliseconds } = await attestry(["run", "list", "--addr", "http://127.0.0.1:1"]);
    expect(stderr).toContain("error: cannot reach http://127.0.0.1:1");
    expect(stderr).toContain("hint: ");
    expect(code).toBe(5);
    expect(milliseconds).toBeLessThan(3_000);
  });

  test("a server that never answers: exit code 5 when the time is over", async () => {
    const { addr } = await serveWith({ list: hang });
    const { code, milliseconds } = await attestry([...addr, "list", "--timeout", "500ms"]);
    expect(code).toBe(5);
    expect(milliseconds).toBeLessThan(4_000);
  });

  test("the first token of a server on this machine is found, but not sent elsewhere", async () => {
    const seen: (string | null)[] = [];
    const { addr } = await serveWith({
      list(_request, context) {
        seen.push(context.requestHeader.get("authorization"));
        return {};
      },
    });
    await writeFile(path.join(folder, "admin-token"), "secret\n");
    const env = { ATTESTRY_DATA_DIR: folder };
    const url = addr[1] ?? "";
    expect((await attestry(["list", "--addr", url], { env })).code).toBe(0);
    expect((await attestry(["list", "--addr", url, "--token", "mine"], { env })).code).toBe(0);
    expect((await attestry(["list", "--addr", url, "--cas-addr", "http://cas.example.test"], { env })).code).toBe(0);
    expect(seen).toEqual(["Bearer secret", "Bearer mine", null]);
  });

  test.each([
    [["nonsense"]],
    [["list", "--limit", "0"]],
    [["get", "sha256:xyz"]],
    [["store", "x.json"]],
    [["store", "x.json", "--run", runId, "--workflow", "a/b"]],
    [["run", "list", "--state", "finished"]],
    [["upload", "retry"]],
    [["run", "cancel", "nope"]],
    [["store", "x.json", "--run", "nope"]],
    [["blob", "put", "x.json", "--run", "nope"]],
    [["list", "--subject", "a0cf"]],
    [["backend", "add", "b", "--provider", "filesystem"]],
    [["backend", "add", "b", "--provider", "inline", "--secret-ref", "x"]],
    [["backend", "add", "b", "--provider", "s3", "--secret-ref", "x", "--prefix", "../y"]],
    [["list", "--addr", "ftp://x"]],
    [[]],
  ])("wrong usage is exit code 2: %j", async (args) => {
    const { code, stdout, stderr } = await attestry(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).not.toBe("");
  });
});
