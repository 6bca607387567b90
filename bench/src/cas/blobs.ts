import { createHash, randomBytes } from "node:crypto";

const mebibyte = 1024 * 1024;

/** A blob of any size that takes no more memory than its first mebibyte: the rest is the same for all. */
export interface BenchBlob {
  hex: string;
  sizeBytes: number;
  /** In pieces of 1 MiB. */
  chunks(): Generator<Buffer, void, void>;
}

const filler = randomBytes(mebibyte);

/** A blob that was never stored before. Its digest is found here, outside of what is measured. */
export function freshBlob(sizeBytes: number): BenchBlob {
  const first = Buffer.from(filler.subarray(0, Math.min(mebibyte, sizeBytes)));
  randomBytes(32).copy(first);
  function* chunks(): Generator<Buffer, void, void> {
    yield first;
    for (let sent = first.length; sent < sizeBytes; sent += mebibyte) yield filler.subarray(0, sizeBytes - sent);
  }
  const hash = createHash("sha256");
  for (const chunk of chunks()) hash.update(chunk);
  return { hex: hash.digest("hex"), sizeBytes, chunks };
}
