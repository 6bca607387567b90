import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, jest, test } from "@jest/globals";
import { chunksOf, randomBlob } from "./blobs.ts";

const real = await import("node:fs/promises");
let links = 0;
jest.unstable_mockModule("node:fs/promises", () => ({
  ...real,
  link: async () => {
    links++;
    throw Object.assign(new Error("no hard links here"), { code: "EPERM" });
  },
}));
const { FilesystemBackend } = await import("../src/backends/filesystem.ts");
const { keyOf, readWith } = await import("./contract/subject.ts");

test("on a file system without hard links what is out of sight comes back, too, and never over a newer one", async () => {
  const { signal } = new AbortController();
  const root = await mkdtemp(join(tmpdir(), "attestry-retention-"));
  const backend = new FilesystemBackend({ root, uploadRetentionMs: 86_400_000 });
  const expiry = await backend.expiry();
  const blob = randomBlob(1_000);
  const write = () => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 100), { signal });
  async function hiddenOnes() {
    const found = [];
    for await (const one of expiry.hidden(signal)) found.push(one);
    return found;
  }
  for (const isNewerThere of [false, true]) {
    await write();
    expect(await expiry.hide(keyOf(blob), new Date(Date.now() + 1_000), signal)).toBe(true);
    expect(await readWith(backend, blob)).toBeUndefined();
    if (isNewerThere) await write();
    const newer = await backend.describe(keyOf(blob), signal);
    for (const hidden of await hiddenOnes()) await expiry.restore(hidden, signal);
    const there = await backend.describe(keyOf(blob), signal);
    if (isNewerThere) expect(there).toEqual(newer);
    expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
    expect(await hiddenOnes()).toEqual([]);
  }
  expect(links).toBe(2);
  await rm(root, { recursive: true });
});
