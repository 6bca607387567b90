import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { blobKey } from "../src/blobs/key.ts";
import { validateBackend } from "../src/blobs/validate-backend.ts";
import { type BackendUnderTest, backendContract } from "./backend-contract.ts";
import { blobOf, chunksOf, filesBelow, randomBlob } from "./harness.ts";

async function startFolder(): Promise<BackendUnderTest & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "attestry-blobs-"));
  return {
    folder,
    open: (prefix) => new FilesystemBackend(join(folder, prefix)),
    leftovers: (prefix) => filesBelow(join(folder, prefix)),
    stop: () => rm(folder, { recursive: true, force: true }),
  };
}

describe("the filesystem backend", () => {
  backendContract(startFolder);

  test("says what is wrong with its folder, and no path", async () => {
    const store = await startFolder();
    await writeFile(join(store.folder, "file"), "");
    const backend = new FilesystemBackend(join(store.folder, "file", "acme"));
    const blob = randomBlob(10);
    const { signal } = new AbortController();
    const writing = backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), signal);
    await expect(writing).rejects.toMatchObject({
      code: "BACKEND_MISCONFIGURED",
      message: expect.stringMatching(/^the backend's folder answered ENOTDIR: a part of its path is a file/),
      retryAfterMs: undefined,
    });
    await expect(backend.describe("blobs/x", signal)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
    await store.stop();
  });

  test.each(["a link to nothing", "a file system that takes no folders", "a name that is too long"])(
    "on %s, writes and validation end with what to do",
    async (what) => {
      const store = await startFolder();
      await symlink(join(store.folder, "gone", "volume"), join(store.folder, "link"));
      const root = {
        "a link to nothing": join(store.folder, "link"),
        "a file system that takes no folders": "/proc/nope",
      }[what];
      const backend = new FilesystemBackend(join(root ?? join(store.folder, "x".repeat(300)), "acme"));
      const blob = randomBlob(10);
      const { signal } = new AbortController();
      const refusal = { code: "BACKEND_MISCONFIGURED", message: expect.not.stringContaining(store.folder) };
      const writing = backend.write(blobKey("blobs", blob.hex), blob, chunksOf(blob.bytes, 10), signal);
      await expect(writing).rejects.toMatchObject(refusal);
      expect(await validateBackend(async () => backend, signal)).toMatch(
        /^write: the backend's folder answered (ENOENT: it cannot be created; check|ENAMETOOLONG: )/,
      );
      const aborted = AbortSignal.abort(new Error("enough"));
      await expect(backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), aborted)).rejects.toThrow();
      await store.stop();
    },
    5_000,
  );

  test("a folder where a blob belongs is no blob, and is not touched", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const blob = randomBlob(10);
    const { signal } = new AbortController();
    const key = blobKey("blobs", blob.hex);
    const folder = join(store.folder, "acme", key);
    await mkdir(join(folder, "within"), { recursive: true });
    expect(await backend.describe(key, signal)).toBeUndefined();
    expect(await backend.sizes([key], signal)).toEqual(new Map());
    expect(await backend.read(key, { offset: 0, length: undefined }, signal)).toBeUndefined();
    await backend.delete(key, signal);
    await expect(backend.write(key, blob, chunksOf(blob.bytes, 10), signal)).rejects.toMatchObject({
      code: "BACKEND_MISCONFIGURED",
      message: "a folder lies where the blob belongs in the backend: move it away",
    });
    expect(await readdir(folder)).toEqual(["within"]);
    await store.stop();
  });

  test("sets aside what is corrupt, and only that", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const blob = randomBlob(100);
    const { signal } = new AbortController();
    await backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), signal);
    expect(await backend.setAside("blobs/x", blob, signal)).toBe(false);
    expect(await backend.describe("blobs/x", signal)).toBeDefined();
    await writeFile(join(store.folder, "acme", "blobs", "x"), "other");
    expect(await backend.setAside("blobs/x", blob, signal)).toBe(true);
    expect(await backend.describe("blobs/x", signal)).toBeUndefined();
    await store.stop();
  });

  test("two processes write the same blobs", async () => {
    const store = await startFolder();
    const run = promisify(execFile);
    const script = fileURLToPath(new URL("writer-process.ts", import.meta.url));
    await Promise.all(["a", "b"].map(() => run(process.execPath, [script, join(store.folder, "acme"), "60"])));
    const names = await store.leftovers("acme/");
    expect(names).toHaveLength(60);
    for (const name of names) {
      const bytes = await readFile(join(store.folder, "acme", name));
      expect(name.endsWith(blobOf(bytes).hex)).toBe(true);
    }
    await store.stop();
  });
});
