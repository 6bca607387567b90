import { S3Backend, type S3Options } from "../src/backends/s3.ts";
import { chunksOf, randomBlob } from "./blobs.ts";

/** A gateway's process that is to be killed: sends half of some blobs, says so, and waits. */
const { options, count, sizeBytes } = JSON.parse(process.argv[2] ?? "") as {
  options: S3Options;
  count: number;
  sizeBytes: number;
};
const backend = new S3Backend({ ...options, endpoint: new URL(options.endpoint) });
const { signal } = new AbortController();

const halves = Array.from({ length: count }, async () => {
  const blob = randomBlob(sizeBytes);
  const sent = Promise.withResolvers<void>();
  async function* half() {
    yield* chunksOf(blob.bytes.subarray(0, sizeBytes / 2), 1024 * 1024);
    sent.resolve();
    await new Promise(() => undefined);
  }
  const resumable = { uploadId: crypto.randomUUID(), offset: 0, keepAfter: () => true };
  void backend.write(`blobs/${blob.hex}`, blob, half(), { signal, resumable });
  await sent.promise;
});
await Promise.all(halves);
// Until the parts have arrived.
setTimeout(() => process.stdout.write("half\n"), 500);
setInterval(() => undefined, 60_000);
