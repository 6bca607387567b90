import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
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
      code: "BACKEND_UNAVAILABLE",
      message: "the backend's folder answered ENOTDIR",
    });
    await expect(backend.describe("blobs/x", signal)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
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
