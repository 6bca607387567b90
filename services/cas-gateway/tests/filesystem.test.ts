import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { canMount, inOwnMounts } from "@attestry/dev-env";
import { describe, expect, test } from "@jest/globals";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { throwFault } from "../src/backends/filesystem-errors.ts";
import { blobKey } from "../src/blobs/key.ts";
import { validateBackend } from "../src/blobs/validate-backend.ts";
import { backendContract } from "./backend-contract.ts";
import { blobOf, chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { keyOf, oneDayMs } from "./contract/subject.ts";
import { startFolder } from "./folder-store.ts";

describe("the filesystem backend", () => {
  backendContract(startFolder);

  test("says what is wrong with its folder, and no path", async () => {
    const store = await startFolder();
    await writeFile(join(store.folder, "file"), "");
    const backend = new FilesystemBackend({ root: join(store.folder, "file", "acme"), uploadRetentionMs: oneDayMs });
    const blob = randomBlob(10);
    const { signal } = new AbortController();
    const writing = backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), { signal });
    await expect(writing).rejects.toMatchObject({
      code: "BACKEND_MISCONFIGURED",
      message: expect.stringMatching(/^the folder answered ENOTDIR: a part of its path is a file/),
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
      const backend = new FilesystemBackend({
        root: join(root ?? join(store.folder, "x".repeat(300)), "acme"),
        uploadRetentionMs: oneDayMs,
      });
      const blob = randomBlob(10);
      const { signal } = new AbortController();
      const refusal = { code: "BACKEND_MISCONFIGURED", message: expect.not.stringContaining(store.folder) };
      const writing = backend.write(blobKey("blobs", blob.hex), blob, chunksOf(blob.bytes, 10), { signal });
      await expect(writing).rejects.toMatchObject(refusal);
      expect(await validateBackend(async () => backend, signal)).toMatch(
        /^write: the folder answered (ENOENT: it cannot be created; check|ENAMETOOLONG: )/,
      );
      const aborted = AbortSignal.abort(new Error("enough"));
      await expect(backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), { signal: aborted })).rejects.toThrow();
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
    expect(await backend.sizes([{ key, sizeBytes: 10 }], signal)).toEqual(new Map());
    expect(await backend.read(key, { offset: 0, length: undefined }, signal)).toBeUndefined();
    await backend.delete(key, signal);
    await expect(backend.write(key, blob, chunksOf(blob.bytes, 10), { signal })).rejects.toMatchObject({
      code: "BACKEND_MISCONFIGURED",
      message: "a folder lies where the blob belongs: move it away",
    });
    expect(await readdir(folder)).toEqual(["within"]);
    await store.stop();
  });

  test("sets aside what is corrupt, and only that", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const blob = randomBlob(100);
    const { signal } = new AbortController();
    await backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), { signal });
    expect(await backend.setAside("blobs/x", blob, signal)).toBe(false);
    expect(await backend.describe("blobs/x", signal)).toBeDefined();
    await writeFile(join(store.folder, "acme", "blobs", "x"), "other");
    expect(await backend.setAside("blobs/x", blob, signal)).toBe(true);
    expect(await backend.describe("blobs/x", signal)).toBeUndefined();
    await store.stop();
  });

  test("a folder that was there and is gone holds no blob back as lost, and takes none", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const { signal } = new AbortController();
    const [stored, other] = [randomBlob(100), randomBlob(100)];
    const write = (blob: TestBlob) => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 100), { signal });
    expect(await backend.describe(keyOf(stored), signal)).toBeUndefined();
    await write(stored);
    await rename(join(store.folder, "acme"), join(store.folder, "unmounted"));
    const range = { offset: 0, length: undefined };
    const refusal = {
      code: "BACKEND_MISCONFIGURED",
      message: expect.stringMatching(/^the folder .* is gone/),
    };
    // Within a second of the write it still counts as there for whoever reads.
    await expect(write(other)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
    await sleep(1_100);
    await expect(backend.read(keyOf(stored), range, signal)).rejects.toMatchObject(refusal);
    await expect(backend.describe(keyOf(stored), signal)).rejects.toMatchObject(refusal);
    await expect(backend.committed(keyOf(stored), stored, randomUUID(), signal)).rejects.toMatchObject(refusal);
    await expect(backend.list("blobs/", "", signal)[Symbol.asyncIterator]().next()).rejects.toMatchObject(refusal);
    await expect(write(other)).rejects.toMatchObject(refusal);
    expect(await readdir(store.folder)).toEqual(["unmounted"]);
    await rename(join(store.folder, "unmounted"), join(store.folder, "acme"));
    await write(other);
    expect((await backend.describe(keyOf(stored), signal))?.sizeBytes).toBe(100);
    await store.stop();
  });

  test("that a folder was there is known to backends that are opened later", async () => {
    const store = await startFolder();
    const { signal } = new AbortController();
    const blob = randomBlob(100);
    await store.open("acme/").write(keyOf(blob), blob, chunksOf(blob.bytes, 100), { signal });
    await rename(join(store.folder, "acme"), join(store.folder, "unmounted"));
    await sleep(1_100);
    const refusal = { code: "BACKEND_MISCONFIGURED" };
    await expect(store.open("acme/").describe(keyOf(blob), signal)).rejects.toMatchObject(refusal);
    const writing = store.open("acme/").write(keyOf(blob), blob, chunksOf(blob.bytes, 100), { signal });
    await expect(writing).rejects.toMatchObject(refusal);
    await store.stop();
  });

  test("a sweep leaves what another backend has below the folder of uploads", async () => {
    const store = await startFolder();
    const { signal } = new AbortController();
    const blobs = [randomBlob(100), randomBlob(100)] as const;
    for (const [i, prefix] of ["acme/uploads/ab/", "acme/uploads/"].entries()) {
      const blob = blobs[i] as TestBlob;
      await store.open(prefix).write(keyOf(blob), blob, chunksOf(blob.bytes, 100), { signal });
      await writeFile(join(store.folder, prefix, "notes"), "of somebody");
    }
    const before = await store.leftovers("acme/");
    expect(await store.open("acme/").sweep(new Date(Date.now() + 60_000), signal)).toBe(0);
    expect(await store.leftovers("acme/")).toEqual(before);
    await store.stop();
  });

  test("a small blob that is there is not written again, a large one is", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const { signal } = new AbortController();
    for (const [size, outcome] of [
      [1_048_576, "existed"],
      [1_048_577, "stored"],
    ] as const) {
      const blob = randomBlob(size);
      const write = () => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 300_000), { signal });
      const inode = async () => (await stat(join(store.folder, "acme", keyOf(blob)))).ino;
      expect(await write()).toBe("stored");
      const first = await inode();
      expect(await write()).toBe(outcome);
      expect((await inode()) === first).toBe(outcome === "existed");
    }
    await store.stop();
  });

  test("a right write while a wrong blob is looked at comes back at once, also if setting aside is broken off", async () => {
    const store = await startFolder();
    const backend = store.open("acme/");
    const root = join(store.folder, "acme");
    const right = randomBlob(60_000_000);
    await writeFile(join(store.folder, "right"), right.bytes);
    await store.spoil("acme/", keyOf(right), Buffer.alloc(200_000_000));
    await mkdir(join(root, "corrupt"));
    const breaking = new AbortController();
    const aside = backend.setAside(keyOf(right), right, breaking.signal);
    await sleep(30);
    await rename(join(store.folder, "right"), join(root, keyOf(right)));
    let isOver = false;
    const over = aside.catch(() => undefined).finally(() => (isOver = true));
    while (!isOver) {
      await sleep(1);
      if ((await readdir(join(root, "corrupt"))).length > 0) breaking.abort(new Error("enough"));
    }
    await over;
    expect((await stat(join(root, keyOf(right)))).size).toBe(right.sizeBytes);
    expect(await readdir(join(root, "corrupt"))).toEqual([]);
    await store.stop();
  });

  test.each(["ENOSPC", "EDQUOT"])("%s is BACKEND_FULL", (code) => {
    expect(() => throwFault(Object.assign(new Error("no space"), { code }))).toThrow(
      expect.objectContaining({ code: "BACKEND_FULL" }),
    );
  });

  const testWithVolume = canMount() ? test : test.skip;
  testWithVolume("a volume that is full answers BACKEND_FULL, and has its space back", async () => {
    const store = await startFolder();
    const volumeBytes = 4 * 1024 * 1024;
    const script = fileURLToPath(new URL("full-volume-process.ts", import.meta.url));
    const mounted = 'mount -t tmpfs -o size="$2" none "$1" && exec "$0" "$3" "$1" "$2"';
    const [program, ...args] = [...inOwnMounts, "sh", "-c", mounted, process.execPath];
    const { stdout } = await promisify(execFile)(program, [...args, store.folder, String(volumeBytes), script]);
    expect(JSON.parse(stdout)).toEqual({ outcomes: ["stored", "BACKEND_FULL", "stored"], isTidy: true });
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
