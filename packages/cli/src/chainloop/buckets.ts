import { hash } from "node:crypto";
import { CommandError } from "../errors.ts";
import { type ObjectHead, SourceBucket } from "./bucket.ts";
import { readBucketFile } from "./bucket-file.ts";

/** An object and the bucket that has it. */
export interface SourceObject extends ObjectHead {
  bucket: SourceBucket;
  key: string;
}

/** All buckets that chainloop kept an organization's objects in, asked in order. */
export class SourceBuckets {
  readonly #buckets: readonly SourceBucket[];
  readonly #signal: AbortSignal;

  private constructor(buckets: readonly SourceBucket[], signal: AbortSignal) {
    this.#buckets = buckets;
    this.#signal = signal;
  }

  /** Throws FILE_UNREADABLE, SOURCE_INVALID, SOURCE_REFUSED, SOURCE_UNAVAILABLE. */
  static async open(files: readonly string[], signal: AbortSignal): Promise<SourceBuckets> {
    const buckets: SourceBucket[] = [];
    for (const file of files) buckets.push(new SourceBucket(await readBucketFile(file)));
    for (const bucket of buckets) await bucket.check(signal);
    return new SourceBuckets(buckets, signal);
  }

  /** What is stored under a digest. Throws SOURCE_MISSING if no bucket has it. */
  async find(digest: string): Promise<SourceObject> {
    for (const bucket of this.#buckets) {
      const head = await bucket.head(digest, this.#signal);
      if (head !== undefined) return { bucket, key: digest, ...head };
    }
    const places = this.#buckets.map(({ place }) => place).join(" and ");
    const message = places === "" ? "no bucket was named to look for it in" : `it is not in ${places}`;
    throw new CommandError("SOURCE_MISSING", message);
  }

  read({ bucket, key }: SourceObject, offset: number, signal: AbortSignal = this.#signal): AsyncIterable<Uint8Array> {
    return bucket.read(key, offset, signal);
  }

  /** All of an object that fits into memory. */
  async bytes(object: SourceObject): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.read(object, 0)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  close(): void {
    for (const bucket of this.#buckets) bucket.close();
  }
}

/** Throws SOURCE_CORRUPT if the bytes are not what the digest names. */
export function checkDigest(bytes: Uint8Array, digest: string): void {
  checkSameDigest(`sha256:${hash("sha256", bytes, "hex")}`, digest);
}

/** Throws SOURCE_CORRUPT if the digests differ. */
export function checkSameDigest(actual: string, expected: string): void {
  if (actual === expected) return;
  throw new CommandError("SOURCE_CORRUPT", `expected bytes with the digest ${expected}, got ${actual}`);
}
