import { expect, test } from "@jest/globals";
import type { Backend, ListedBlob } from "../../src/backends/backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { failingAfter, keyOf, resumable, type Subject, signal } from "./subject.ts";

export function listing(subject: Subject): void {
  async function list(backend: Backend, folder: string, after = "", limit = Number.POSITIVE_INFINITY) {
    const listed: ListedBlob[] = [];
    for await (const blob of backend.list(folder, after, signal)) {
      listed.push(blob);
      if (listed.length === limit) break;
    }
    return listed;
  }
  async function filled(prefix: string, blobs: TestBlob[]): Promise<Backend> {
    const backend = subject.store.open(prefix);
    for (const blob of blobs) await backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 5_000_000), { signal });
    return backend;
  }

  test("shows every blob of a folder once, in the order of the keys, after any one of them", async () => {
    const blobs = [...Array.from({ length: 40 }, (_, i) => randomBlob(i)), randomBlob(9_000_000)];
    const backend = await filled("listed/", blobs);
    const sorted = [...blobs].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const all = await list(backend, "blobs/");
    expect(all.map(({ key, sizeBytes }) => [key, sizeBytes])).toEqual(
      sorted.map((blob) => [keyOf(blob), blob.sizeBytes]),
    );
    for (const { storedAt } of all) expect(Math.abs(storedAt.getTime() - Date.now())).toBeLessThan(60_000);
    for (const i of [0, 1, 20, 39, 40]) {
      const rest = await list(backend, "blobs/", keyOf(sorted[i] ?? randomBlob(0)));
      expect(rest.map(({ key }) => key)).toEqual(sorted.slice(i + 1).map(keyOf));
    }
    expect(await list(backend, "blobs/", "", 3)).toHaveLength(3);
  });

  test("begins after a key that is not there, or of which there is only a beginning", async () => {
    const blobs = Array.from({ length: 20 }, (_, i) => randomBlob(i));
    const backend = await filled("after/", blobs);
    const keys = blobs.map(keyOf).sort();
    const middle = keys[10] ?? "";
    for (const after of [
      `${middle}0`,
      middle.slice(0, -1),
      middle.slice(0, 12),
      middle.slice(0, 9),
      "blobs/",
      "blobs/zz",
    ]) {
      const listed = await list(backend, "blobs/", after);
      expect(listed.map(({ key }) => key)).toEqual(keys.filter((key) => key > after));
    }
  });

  test("shows one folder only, and no unfinished upload", async () => {
    const blob = randomBlob(10);
    const backend = await filled("folders/", [blob]);
    const bundle = randomBlob(20);
    await backend.write(`bundles/00/00/${bundle.hex}`, bundle, chunksOf(bundle.bytes, 20), { signal });
    const broken = randomBlob(20_000_000);
    const source = failingAfter(broken.bytes.subarray(0, 17_000_000));
    const options = { signal, resumable: resumable(crypto.randomUUID()) };
    await expect(backend.write(keyOf(broken), broken, source, options)).rejects.toThrow("the source failed");
    expect((await list(backend, "blobs/")).map(({ key }) => key)).toEqual([keyOf(blob)]);
    expect((await list(backend, "bundles/")).map(({ key }) => key)).toEqual([`bundles/00/00/${bundle.hex}`]);
    expect(await list(backend, "nothing/")).toEqual([]);
    expect(await list(subject.store.open("nobody/"), "blobs/")).toEqual([]);
  });
}
