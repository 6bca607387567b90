// Begins uploads into a folder, gives a half of each, and then nothing any more: to be killed in the middle of them.
// Upload i is of bytes i; the even ones can be gone on with, as `<i in 8 digits>-0000-4000-8000-000000000000`.
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { blobKey } from "../src/blobs/key.ts";
import { blobOf, chunksOf } from "./blobs.ts";

const [root = "", count = "0", sizeBytes = "0", uploadRetentionMs = "0"] = process.argv.slice(2);
const backend = new FilesystemBackend({ root, uploadRetentionMs: Number(uploadRetentionMs) });
const { signal } = new AbortController();

async function upload(i: number): Promise<void> {
  const blob = blobOf(Buffer.alloc(Number(sizeBytes), i));
  const halfWay = Promise.withResolvers<void>();
  async function* source() {
    yield* chunksOf(blob.bytes.subarray(0, blob.sizeBytes / 2), 1_000_000);
    halfWay.resolve();
    await new Promise(() => undefined);
  }
  const uploadId = `${String(i).padStart(8, "0")}-0000-4000-8000-000000000000`;
  const resumable = i % 2 === 0 ? { uploadId, offset: 0, keepAfter: () => true } : undefined;
  void backend.write(blobKey("blobs", blob.hex), blob, source(), { signal, resumable });
  await halfWay.promise;
}

await Promise.all(Array.from({ length: Number(count) }, (_, i) => upload(i)));
process.stdout.write("half-way\n");
setInterval(() => undefined, 60_000);
