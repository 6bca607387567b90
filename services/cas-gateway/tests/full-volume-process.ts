// Writes a blob, then one that is larger than the volume, as an upload to be gone on with, and prints what came of it.
import { readdir } from "node:fs/promises";
import { reasonOf } from "@attestry/service-kit";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";

const [folder = "", volumeBytes = "0"] = process.argv.slice(2);
const backend = new FilesystemBackend({ root: `${folder}/acme`, uploadRetentionMs: 3_600_000 });
const { signal } = new AbortController();

async function write(blob: TestBlob): Promise<string | undefined> {
  const resumable = { uploadId: crypto.randomUUID(), offset: 0, keepAfter: () => true };
  const writing = backend.write(`blobs/${blob.hex}`, blob, chunksOf(blob.bytes, 65_536), { signal, resumable });
  return writing.then(() => "stored", reasonOf);
}

const [small, large, again] = [randomBlob(1_000), randomBlob(2 * Number(volumeBytes)), randomBlob(1_000)];
const outcomes = [await write(small), await write(large), await write(again)];
const entries = await readdir(folder, { recursive: true, withFileTypes: true });
const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
const isTidy = files.sort().join() === [small.hex, again.hex].sort().join();
process.stdout.write(JSON.stringify({ outcomes, isTidy }));
