import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Mode, UploadState } from "@attestry/api/ingest";
import { CancelTrigger } from "@attestry/api/run";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Code, hang, refusal } from "./fake-server.ts";
import { runId, serve } from "./fake-store.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

const bundle = Buffer.from('{"payloadType":"application/vnd.in-toto+json"}');
const digest = `sha256:${createHash("sha256").update(bundle).digest("hex")}`;
const stored = { digest, runId, mode: Mode.DATABASE, upload: UploadState.NONE };

let folder = "";
let file = "";
let fake: Awaited<ReturnType<typeof serve>> | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-"));
  file = path.join(folder, "bundle.json");
  await writeFile(file, bundle);
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

describe("store", () => {
  test("prints one JSON object with what was stored", async () => {
    const tokens: (string | null)[] = [];
    const { addr } = await serveWith({
      store(request, context) {
        expect(Buffer.from(request.bundle)).toEqual(bundle);
        tokens.push(context.requestHeader.get("authorization"));
        return stored;
      },
    });
    const { code, stdout, stderr } = await attestry([
      ...addr,
      "store",
      file,
      "--workflow",
      "web/release",
      "-o",
      "json",
    ]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ digest, runId, mode: "database", upload: "none" });
    expect(code).toBe(0);
    expect(tokens).toEqual(["Bearer t"]);
  });

  test("reads stdin for -", async () => {
    const { addr } = await serveWith({ store: () => stored });
    const { code, stdout } = await attestry([...addr, "store", "-", "--workflow", "web/release"], { stdin: bundle });
    expect(code).toBe(0);
    expect(stdout).toContain(digest);
  });

  test.each([
    [Code.InvalidArgument, "MESSAGE_SIGNATURE", 1],
    [Code.FailedPrecondition, "RUN_CANCELLED", 1],
    [Code.InvalidArgument, "MESSAGE_TOO_LARGE", 1],
    [Code.PermissionDenied, "ROLE_INSUFFICIENT", 4],
  ])("a refusal for good ends at once and fails the run: %s %s", async (refusedWith, reason, exitCode) => {
    let calls = 0;
    const { addr, cancelled } = await serveWith({
      store() {
        calls++;
        throw refusal(refusedWith, reason, "expected one thing,\n came another");
      },
    });
    const { code, stderr, stdout, milliseconds } = await attestry([
      ...addr,
      "store",
      file,
      "--workflow",
      "web/release",
    ]);
    expect(code).toBe(exitCode);
    expect(stderr.split("\n")[0]).toBe(`error: expected one thing, came another (${reason})`);
    expect(stdout).toBe("");
    expect(calls).toBe(1);
    expect(milliseconds).toBeLessThan(3_000);
    expect(cancelled).toMatchObject([{ runId, trigger: CancelTrigger.FAILURE }]);
    expect(cancelled[0]?.reason).toContain(reason);
  });

  test("a run that was given is not ended", async () => {
    const { addr, created, cancelled } = await serveWith({
      store() {
        throw refusal(Code.InvalidArgument, "BUNDLE_NOT_JSON", "no JSON");
      },
    });
    expect((await attestry([...addr, "store", file, "--run", runId])).code).toBe(1);
    expect(created).toEqual([]);
    expect(cancelled).toEqual([]);
  });

  test("tries again when the server asks, with the same run", async () => {
    let calls = 0;
    const { addr, created } = await serveWith({
      store() {
        if (++calls < 3) throw refusal(Code.Unavailable, "DATABASE_UNAVAILABLE", "no database", 50);
        return stored;
      },
    });
    const { code, stderr } = await attestry([...addr, "store", file, "--workflow", "web/release"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(calls).toBe(3);
    expect(created).toHaveLength(1);
    expect(created[0]).not.toBe("");
  });

  test("unavailable until the time is over: exit code 5, and the run is left for another try", async () => {
    const { addr, cancelled } = await serveWith({
      store() {
        throw refusal(Code.Unavailable, "CAS_UNAVAILABLE", "the backend does not answer", 100);
      },
    });
    const { code, stderr } = await attestry([...addr, "store", file, "--workflow", "web/release", "--timeout", "1s"]);
    expect(code).toBe(5);
    expect(stderr).toContain(`--run ${runId}`);
    expect(cancelled).toEqual([]);
  });

  test("interrupted: exit code 130, and the run is cancelled", async () => {
    const { addr, cancelled } = await serveWith({ store: hang });
    const result = await attestry([...addr, "store", file, "--workflow", "web/release"], { interruptAfterMs: 1_500 });
    expect(result.stderr).toContain("interrupted");
    expect(result.code).toBe(130);
    expect(cancelled).toMatchObject([{ runId, trigger: CancelTrigger.CANCELLATION }]);
  });

  test.each([
    ["an empty file", ""],
    ["blanks", " \r\n\t\n"],
  ])("%s starts no run", async (_what, content) => {
    const { addr, created } = await serveWith({});
    const { code, stderr } = await attestry([...addr, "store", "-", "--workflow", "web/release"], { stdin: content });
    expect(code).toBe(1);
    expect(stderr).toContain("(BUNDLE_EMPTY)");
    expect(created).toEqual([]);
  });

  test("more than 32 MiB starts no run", async () => {
    const { addr, created } = await serveWith({});
    const large = path.join(folder, "large.json");
    await writeFile(large, Buffer.alloc(32 * 1024 * 1024 + 1, "x"));
    const { code, stderr } = await attestry([...addr, "store", large, "--workflow", "web/release"]);
    expect(code).toBe(1);
    expect(stderr).toContain("at most 33554432 bytes");
    expect(created).toEqual([]);
  });
});
