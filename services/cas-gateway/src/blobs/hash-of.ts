import { createHash } from "node:crypto";
import type { BlobRef } from "./blob-ref.ts";

/** What blob the chunks are, read to their end. Throws what they throw. */
export async function hashOf(chunks: AsyncIterable<Uint8Array>): Promise<BlobRef> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.byteLength;
    hash.update(chunk);
  }
  return { hex: hash.digest("hex"), sizeBytes };
}
