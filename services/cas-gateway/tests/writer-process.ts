// Writes a number of blobs, always the same ones, into a folder: run twice at once, the processes meet at every blob.
import { createHash } from "node:crypto";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { blobKey } from "../src/blobs/key.ts";

const [folder = "", count = "0"] = process.argv.slice(2);
const backend = new FilesystemBackend({ root: folder, uploadRetentionMs: 3_600_000 });
const { signal } = new AbortController();
for (let i = 0; i < Number(count); i++) {
  const bytes = Buffer.alloc(10_000 + i * 5_000, i);
  const hex = createHash("sha256").update(bytes).digest("hex");
  async function* source() {
    for (let start = 0; start < bytes.byteLength; start += 4_096) yield bytes.subarray(start, start + 4_096);
  }
  await backend.write(blobKey("blobs", hex), { hex, sizeBytes: bytes.byteLength }, source(), { signal });
}
