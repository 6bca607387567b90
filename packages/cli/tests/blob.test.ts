import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CredentialService, type CredentialServiceIssueCasTokenRequest } from "@attestry/api/run";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry, type CliOptions, run } from "./run-cli.ts";
import { StrictStore, sha256 } from "./strict-store.ts";

jest.setTimeout(60_000);

const mebibyte = 1024 * 1024;
const publicUrl = "https://cas.example.test/v1/blobs/sha256:00?token=t";

let folder = "";
let store: StrictStore;
let server: FakeServer;
let proxy: CuttingProxy;
let asked: CredentialServiceIssueCasTokenRequest[];
let url = publicUrl;

beforeEach(async () => {
  // The fake server's framework tells of each connection that is cut.
  jest.spyOn(console, "error").mockImplementation(() => undefined);
  folder = await mkdtemp(path.join(tmpdir(), "attestry-blob-"));
  store = new StrictStore();
  asked = [];
  url = publicUrl;
  server = await startFakeServer((router) => {
    store.routes(router);
    router.service(CredentialService, {
      issueCasToken(request) {
        asked.push(request);
        const expiresAt = timestampFromDate(new Date("2026-11-25T10:00:00Z"));
        const link = request.purpose.case === "download" ? url : "";
        return { token: `token-${asked.length}`, backendNames: ["strict"], url: link, expiresAt };
      },
    });
  });
  proxy = await startCuttingProxy(server.url);
});

afterEach(async () => {
  await proxy.stop();
  await server.stop();
  await rm(folder, { recursive: true });
});

function cli(args: readonly string[], options: CliOptions = {}) {
  return attestry(["--addr", server.url, "--cas-addr", proxy.url, "--token", "t", "blob", ...args], {
    cwd: folder,
    ...options,
  });
}

async function fileOf(name: string, bytes: Buffer): Promise<string> {
  await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
  await writeFile(path.join(folder, name), bytes);
  return `sha256:${sha256(bytes)}`;
}

describe("blob put", () => {
  test("that was killed goes on where it was", async () => {
    const bytes = randomBytes(64 * mebibyte);
    const digest = await fileOf("image.tar", bytes);
    proxy.rules.bytesPerSecond = 40 * mebibyte;
    const killed = await cli(["put", "image.tar"], { killWhen: () => proxy.sent > 30 * mebibyte });
    expect(killed.code).toBe(128);
    expect(store.blobs.size).toBe(0);
    // Its connection is gone; what went through it has arrived.
    const before = proxy.sent;
    expect(before).toBeLessThan(60 * mebibyte);
    proxy.rules.bytesPerSecond = undefined;
    const again = await cli(["put", "image.tar", "-o", "json"]);
    expect(again.stderr).toBe("");
    expect(JSON.parse(again.stdout)).toEqual({ digest, sizeBytes: bytes.byteLength, backend: "strict" });
    expect(store.blobs.get(sha256(bytes))?.equals(bytes)).toBe(true);
    expect(store.writes).toHaveLength(2);
    expect(store.writes[1]).toBeGreaterThan(25 * mebibyte);
    expect(proxy.sent - before).toBeLessThan(bytes.byteLength - (store.writes[1] ?? 0) + mebibyte);
  });

  test("goes on by itself when its connection is cut", async () => {
    const bytes = randomBytes(8 * mebibyte);
    await fileOf("a.bin", bytes);
    proxy.rules.cutAfterSent = [5 * mebibyte];
    const { code, stderr } = await cli(["put", "a.bin"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(store.writes[1]).toBeGreaterThan(0);
    expect(new Set(store.tokens).size).toBe(2);
  });

  test("several files: one that cannot be read does not stop the others", async () => {
    const digest = await fileOf("a.bin", randomBytes(10));
    await fileOf("b.bin", randomBytes(20));
    const { code, stdout, stderr } = await cli(["put", "a.bin", "missing.bin", "b.bin", "-o", "json"]);
    expect(code).toBe(1);
    expect(stderr).toContain("missing.bin: error: no such file: missing.bin (FILE_UNREADABLE)\n");
    expect(stderr).toContain("error: 1 of 3 files were not uploaded (FILES_FAILED)\n");
    expect(JSON.parse(stdout)).toMatchObject({
      files: [
        { path: "a.bin", digest, sizeBytes: 10, backend: "strict" },
        { path: "b.bin", sizeBytes: 20 },
      ],
    });
    expect((await cli(["put", "a.bin", "b.bin"])).stdout).toMatch(/^DIGEST +BYTES +BACKEND +FILE\nsha256:/);
  });
});

describe("blob get", () => {
  test("that was killed goes on where it was", async () => {
    const bytes = randomBytes(32 * mebibyte);
    store.blobs.set(sha256(bytes), bytes);
    const args = ["get", `sha256:${sha256(bytes)}`, "-o", "out.bin"];
    proxy.rules.bytesPerSecondBack = 20 * mebibyte;
    const killed = await cli(args, { killWhen: () => proxy.received > 12 * mebibyte });
    expect(killed.code).toBe(128);
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^\.out\.bin\.[0-9a-f]{12}\.[0-9a-f]{8}\.part$/)]);
    proxy.rules.bytesPerSecondBack = undefined;
    const { code, stderr } = await cli(args);
    expect(stderr).toBe(`out.bin: 33,554,432 bytes, sha256:${sha256(bytes)}\n`);
    expect(code).toBe(0);
    expect((await readFile(path.join(folder, "out.bin"))).equals(bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(["out.bin"]);
    expect(store.reads.at(-1)?.offset).toBeGreaterThan(8 * mebibyte);
  });

  test("goes on by itself when its connection is cut, to stdout too", async () => {
    const bytes = randomBytes(4 * mebibyte);
    store.blobs.set(sha256(bytes), bytes);
    proxy.rules.cutAfterReceived = [2 * mebibyte];
    const { code, stdoutBytes } = await cli(["get", `sha256:${sha256(bytes)}`]);
    expect(code).toBe(0);
    expect(stdoutBytes.equals(bytes)).toBe(true);
    expect(store.reads).toHaveLength(2);
  });

  test("says why a file cannot be written, and what is corrupt leaves none", async () => {
    const bytes = randomBytes(1_000);
    store.blobs.set(sha256(bytes), bytes);
    const digest = `sha256:${sha256(bytes)}`;
    await mkdir(path.join(folder, "dir"));
    expect((await cli(["get", digest, "-o", "dir"])).stderr).toBe("error: dir is a folder (FILE_UNWRITABLE)\n");
    expect((await cli(["get", digest, "-o", "no/x"])).stderr).toBe("error: no such folder: no (FILE_UNWRITABLE)\n");
    store.blobs.set(sha256(bytes), randomBytes(1_000));
    const corrupt = await cli(["get", digest, "-o", "out.bin"]);
    expect(corrupt.stderr).toContain("(BLOB_CORRUPT)");
    expect(corrupt.code).toBe(6);
    expect(await readdir(folder)).toEqual(["dir"]);
  });
});

describe("blob sync", () => {
  test("uploads what is missing, names what it leaves out, and says so each time", async () => {
    const small = await fileOf("dist/a.txt", randomBytes(100));
    const large = await fileOf("dist/sub/b.bin", randomBytes(3 * mebibyte));
    const copy = await fileOf("dist/sub/c.txt", await readFile(path.join(folder, "dist/a.txt")));
    await symlink("a.txt", path.join(folder, "dist/link"));
    await run("mkfifo", [path.join(folder, "dist/pipe")]);
    const first = await cli(["sync", "dist", "-o", "json"]);
    expect(first.stderr).toContain("skipped: link is a symbolic link\n");
    expect(first.stderr).toContain("skipped: pipe is no regular file\n");
    expect(first.code).toBe(0);
    expect(JSON.parse(first.stdout)).toEqual({
      files: [
        { path: "a.txt", digest: small, sizeBytes: 100, uploaded: true },
        { path: "sub/b.bin", digest: large, sizeBytes: 3 * mebibyte, uploaded: true },
        { path: "sub/c.txt", digest: copy, sizeBytes: 100, uploaded: false },
      ],
      failed: [],
      skipped: ["link", "pipe"],
    });
    expect(store.blobs.size).toBe(2);
    const { code, stdout, stderr } = await cli(["sync", "dist"]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n").toSorted()).toEqual(
      [`present ${small} a.txt`, `present ${large} sub/b.bin`, `present ${copy} sub/c.txt`].toSorted(),
    );
    expect(stderr).toContain("0 uploaded, 3 there already, 2 skipped\n");
    expect(store.writes).toHaveLength(1);
  });

  test("a file that is refused or cannot be read is named, and the others go on", async () => {
    await fileOf("dist/a.bin", randomBytes(mebibyte));
    await fileOf("dist/b.bin", randomBytes(mebibyte + 1));
    store.before = (call) => {
      if (call === "write" && store.writes.length === 1)
        throw refusal(Code.InvalidArgument, "BLOB_TOO_LARGE", "at most 5 bytes");
    };
    const { code, stderr, stdout } = await cli(["sync", "dist", "--jobs", "1"]);
    expect(stderr).toContain("a.bin: error: at most 5 bytes (BLOB_TOO_LARGE)\n");
    expect(stderr).toContain("error: 1 of the files and folders could not be uploaded (FILES_FAILED)\n");
    expect(stdout).toMatch(/^uploaded sha256:[0-9a-f]{64} b\.bin\n$/);
    expect(code).toBe(1);
    expect((await cli(["sync", "nowhere"])).stderr).toBe("error: no such file: nowhere (FILE_UNREADABLE)\n");
    expect((await cli(["sync", "dist/a.bin"])).stderr).toBe("error: dist/a.bin is no folder (FILE_UNREADABLE)\n");
  });

  (process.getuid?.() === 0 ? test.skip : test)("what may not be read is named", async () => {
    await fileOf("dist/a.bin", randomBytes(10));
    await fileOf("dist/secret.bin", randomBytes(10));
    await chmod(path.join(folder, "dist/secret.bin"), 0);
    const { code, stderr } = await cli(["sync", "dist"]);
    expect(stderr).toContain("secret.bin: error: no permission to read");
    expect(code).toBe(1);
    expect(store.blobs.size).toBe(1);
  });

  test("that was killed goes on", async () => {
    const digests = [];
    for (let i = 0; i < 6; i++) digests.push(await fileOf(`dist/${i}.bin`, randomBytes(12 * mebibyte)));
    proxy.rules.bytesPerSecond = 40 * mebibyte;
    const killed = await cli(["sync", "dist"], { killWhen: () => proxy.sent > 34 * mebibyte });
    expect(killed.code).toBe(128);
    const before = proxy.sent;
    proxy.rules.bytesPerSecond = undefined;
    const { code } = await cli(["sync", "dist"]);
    expect(code).toBe(0);
    expect(digests.map((digest) => store.blobs.has(digest.slice(7)))).toEqual(digests.map(() => true));
    expect(proxy.sent - before).toBeLessThan(50 * mebibyte);
  });

  test("where nothing answers, ends at once", async () => {
    await fileOf("dist/a.bin", randomBytes(10));
    const { code, stderr, milliseconds } = await cli(["sync", "dist", "--cas-addr", "http://127.0.0.1:1"]);
    expect(stderr).toContain("error: cannot reach http://127.0.0.1:1");
    expect(code).toBe(5);
    expect(milliseconds).toBeLessThan(20_000);
  });
});

describe("blob link", () => {
  test("prints the link, and asks for the name", async () => {
    const bytes = randomBytes(10);
    store.blobs.set(sha256(bytes), bytes);
    const digest = `sha256:${sha256(bytes)}`;
    const { code, stdout, stderr } = await cli(["link", digest, "--name", "sbom.json"]);
    expect(stdout).toBe(`${publicUrl}\n`);
    expect(stderr).toContain("works until 2026-11-25T10:00:00Z");
    expect(code).toBe(0);
    expect(asked.at(-1)?.purpose).toMatchObject({ case: "download", value: { digest, fileName: "sbom.json" } });
    const asJson = await cli(["link", digest, "-o", "json"]);
    expect(JSON.parse(asJson.stdout)).toEqual({ digest, url: publicUrl, expiresAt: "2026-11-25T10:00:00Z" });
  });

  test("says what is missing: the blob, the server's address, a good name", async () => {
    const digest = `sha256:${"00".repeat(32)}`;
    expect((await cli(["link", digest])).code).toBe(3);
    expect((await cli(["link", digest, "--name", "a/b"])).code).toBe(2);
    url = "";
    const { code, stderr } = await cli(["link", digest]);
    expect(stderr).toContain("error: the server gives no links: it has no public address (PUBLIC_URL_UNSET)\nhint: ");
    expect(stderr).toContain("CAS_GATEWAY_PUBLIC_URL");
    expect(code).toBe(1);
  });
});
