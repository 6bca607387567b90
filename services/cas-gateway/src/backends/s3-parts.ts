const mebibyte = 1024 * 1024;

/** Up to this size a blob is one PUT. */
export const singlePutBytes = 8 * mebibyte;
/** S3's limits: parts of at least 5 MiB but for the last, and at most 10,000 of them. */
const smallestPart = 8 * mebibyte;
const mostParts = 10_000;

/** Bytes of each part but the last of an upload of that many bytes. */
export function partSizeFor(sizeBytes: number): number {
  return Math.max(smallestPart, Math.ceil(sizeBytes / mostParts / mebibyte) * mebibyte);
}

/** The whole source in one buffer; one chunk is not copied. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) if (chunk.byteLength > 0) chunks.push(chunk);
  const [only = new Uint8Array(0)] = chunks;
  return chunks.length > 1 ? Buffer.concat(chunks) : Buffer.from(only.buffer, only.byteOffset, only.byteLength);
}

/** The source cut anew into buffers of `partBytes`, the last one shorter. */
export async function* parts(source: AsyncIterable<Uint8Array>, partBytes: number): AsyncGenerator<Buffer, void, void> {
  let part = Buffer.allocUnsafe(partBytes);
  let filled = 0;
  for await (const chunk of source) {
    for (let taken = 0; taken < chunk.byteLength; ) {
      const piece = chunk.subarray(taken, taken + partBytes - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
      if (filled === partBytes) {
        yield part;
        part = Buffer.allocUnsafe(partBytes);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

/** Joins small chunks until they have at least `bytes`: fewer, larger messages are cheaper to send. */
export async function* joined(source: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer, void, void> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of source) {
    held.push(chunk);
    heldBytes += chunk.byteLength;
    if (heldBytes < bytes) continue;
    yield Buffer.concat(held, heldBytes);
    held = [];
    heldBytes = 0;
  }
  if (heldBytes > 0) yield Buffer.concat(held, heldBytes);
}
