import { randomUUID } from "node:crypto";
import { itemsUntilAborted } from "../blobs/abortable.ts";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import { hashOf } from "../blobs/hash-of.ts";
import { joined } from "../blobs/joined.ts";
import { probesFolder } from "../blobs/key.ts";
import { verified } from "../blobs/verified.ts";
import type { Expiry } from "../retention/expiry.ts";
import { isStale, type Keeping } from "../retention/keeping.ts";
import {
  type Backend,
  backendUnavailable,
  type KeyedBlob,
  type ListedBlob,
  type OpenBlob,
  type Range,
  type StoredBlob,
  type WriteOptions,
  type WriteOutcome,
} from "./backend.ts";
import { setObjectAside } from "./s3-aside.ts";
import type { StoreBody } from "./s3-body.ts";
import { S3Expiry } from "./s3-expiry.ts";
import { fileNameHeaders } from "./s3-file-name.ts";
import { Gathered } from "./s3-gather.ts";
import { committedBytes, offsetInvalid, writeLarge } from "./s3-large-write.ts";
import { removeStrays, sweepUploads } from "./s3-leftovers.ts";
import { listBlobs, sizesOf } from "./s3-listing.ts";
import { ObjectLock } from "./s3-lock.ts";
import type { S3Options } from "./s3-options.ts";
import { collect, singlePutBytes } from "./s3-parts.ts";
import { LiveRecord, recordFolderOf } from "./s3-records.ts";
import { type Reference, referenceOf } from "./s3-reference.ts";
import { S3Requests } from "./s3-requests.ts";

export type { S3Options } from "./s3-options.ts";

/**
 * A bucket of MinIO or any S3. A blob of up to 8 MiB is one PUT of proven bytes. A larger one is a data object, sent
 * in parts, and a small reference to it at the blob's key, put when all bytes are proven: until then nothing is visible.
 * Objects at a blob's key that are no reference are the blob itself.
 */
export class S3Backend implements Backend {
  readonly #options: S3Options;
  readonly #requests: S3Requests;
  readonly #lock: ObjectLock;
  readonly #expiry: S3Expiry;

  constructor(options: S3Options) {
    this.#options = options;
    this.#requests = new S3Requests(options);
    this.#lock = new ObjectLock(this.#requests, options.objectLockMode);
    this.#expiry = new S3Expiry(this.#requests, options.prefix);
  }

  get notes(): readonly string[] {
    return this.#requests.features.notes;
  }

  async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    const found = await this.#requests.head(key, signal);
    if (found === undefined) return undefined;
    const { storedAt, sizeBytes, reference } = found;
    if (reference === undefined) return { sizeBytes, storedAt };
    return reference.dataKey === undefined ? undefined : { sizeBytes: reference.sizeBytes, storedAt };
  }

  async fileName(key: string, signal: AbortSignal): Promise<string | undefined> {
    const found = await this.#requests.head(key, signal);
    const isEmpty = found?.reference !== undefined && found.reference.dataKey === undefined;
    return isEmpty ? undefined : found?.fileName;
  }

  sizes(blobs: readonly KeyedBlob[], signal: AbortSignal): Promise<Map<string, number>> {
    return sizesOf(this.#requests, blobs, signal);
  }

  async read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    const opened = await this.#open(key, range, signal);
    if (!isReference(opened)) return opened;
    // Its data went while it was followed: by now there is another, or none.
    const again = await this.#open(key, range, signal);
    // Or its data is lost. The blob is said to be there, and nothing of it is: whoever reads it meets the damage.
    return isReference(again) ? nothingOf(again.sizeBytes) : again;
  }

  async write(
    key: string,
    { hex, sizeBytes }: BlobQuery,
    source: AsyncIterable<Uint8Array>,
    options: WriteOptions,
  ): Promise<WriteOutcome> {
    if (sizeBytes !== undefined && sizeBytes > singlePutBytes)
      return this.#writeLarge(key, { hex, sizeBytes }, source, options);
    if (sizeBytes !== undefined) return this.#writeSmall(key, { hex, sizeBytes }, source, options);
    const arriving = itemsUntilAborted(source, options.signal);
    const gathered = await Gathered.from(arriving, options.signal);
    try {
      if (gathered.isWhole)
        return await this.#writeSmall(key, { hex, sizeBytes: gathered.sizeBytes }, gathered.bytes(), options);
      return await this.#writeLarge(key, { hex, sizeBytes }, joined(gathered.bytes(), arriving), options);
    } finally {
      gathered.release();
    }
  }

  async #writeLarge(
    key: string,
    blob: BlobQuery,
    source: AsyncIterable<Uint8Array>,
    options: WriteOptions,
  ): Promise<WriteOutcome> {
    const { signal, keeping } = options;
    const retentionMs = this.#options.uploadRetentionMs;
    const isThere = (one: BlobRef, until: AbortSignal) => this.#staysThere(key, one, keeping, until);
    const outcome = await writeLarge(this.#requests, { key, blob, source, options, retentionMs, isThere });
    // Only now: what comes of an upload that breaks off must not be held for years.
    if (await this.hold(key, keeping?.atLeastMs ?? 0, signal)) return outcome;
    throw backendUnavailable("the blob went from the object store before it was held there", undefined);
  }

  async #writeSmall(
    key: string,
    blob: BlobRef,
    source: AsyncIterable<Uint8Array>,
    { signal, resumable, keeping, fileName }: WriteOptions,
  ): Promise<WriteOutcome> {
    if (resumable !== undefined && resumable.offset > 0) throw offsetInvalid(0, resumable.offset);
    const body = await collect(verified(itemsUntilAborted(source, signal), blob), blob.sizeBytes);
    // The request is signed over the digest that the bytes were just proven to have, so the store proves them too.
    const lock = await this.#lock.headers(keeping?.atLeastMs ?? 0, body, signal);
    const put = { sha256: blob.hex, probe: key.startsWith(probesFolder) };
    const named = (name: string | undefined) => ({ ...put, headers: { ...lock, ...fileNameHeaders(name) } });
    if (await this.#requests.put(key, body, { ...named(fileName), onlyIf: "absent" }, signal)) return "stored";
    if (await this.#staysThere(key, blob, keeping, signal)) return "existed";
    await this.#requests.put(key, body, named((await this.#requests.head(key, signal))?.fileName ?? fileName), signal);
    // What was here before may have been a reference.
    await removeStrays(this.#requests, key, signal);
    return "stored";
  }

  /** Blobs of one PUT are never kept in part. */
  async committed(key: string, blob: BlobRef, uploadId: string, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    if (blob.sizeBytes <= singlePutBytes) return 0;
    const retentionMs = this.#options.uploadRetentionMs;
    return committedBytes(this.#requests, { key, blob, uploadId, retentionMs }, signal);
  }

  async hold(key: string, atLeastMs: number, signal: AbortSignal): Promise<boolean> {
    if (atLeastMs === 0 || !(await this.#lock.state(signal)).locks) return true;
    return this.#lock.hold(key, atLeastMs, signal);
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    const requests = this.#requests;
    const dataKey = (await requests.head(key, signal))?.reference?.dataKey;
    if (dataKey === undefined) {
      await requests.remove(key, signal);
      // A reference may have come there meanwhile.
      return removeStrays(requests, key, signal);
    }
    // Should this end between the two, the record leads the sweep to the data.
    const record = new LiveRecord(
      requests,
      `${recordFolderOf(key)}deleted/${randomUUID()}/`,
      dataKey,
      this.#options.uploadRetentionMs,
    );
    try {
      await record.put(signal);
      await requests.remove(key, signal);
      await requests.remove(dataKey, signal);
      await record.remove(signal);
    } finally {
      await record.stop();
    }
    await removeStrays(requests, key, signal);
  }

  /**
   * Puts an empty place where the object was, if nothing came there since it was read (`If-Match`), and a copy into
   * `corrupt/`. False also for a store that does not know the condition.
   */
  setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    return setObjectAside(this.#requests, key, blob, signal);
  }

  async expiry(signal: AbortSignal): Promise<Expiry | undefined> {
    // Anew: without versions a deletion could not be taken back.
    if ((await this.#lock.state(signal, 0)).versions) return this.#expiry;
    this.#requests.features.note(
      "the bucket has no versioning: materials stay there beyond at_most, since a deletion could meet one that was just written anew",
    );
    return undefined;
  }

  list(folder: string, after: string, signal: AbortSignal): AsyncIterable<ListedBlob> {
    return listBlobs(this.#requests, folder, after, signal);
  }

  sweep(before: Date, signal: AbortSignal): Promise<number> {
    return sweepUploads(this.#requests, before, signal);
  }

  close(): void {
    this.#requests.close();
  }

  /** Follows a reference, which is returned if its data is not there. */
  async #open(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | Reference | undefined> {
    const requests = this.#requests;
    const probe = key.startsWith(probesFolder);
    const body = await requests.open(key, range, signal, probe);
    if (body === undefined) return undefined;
    let reference = body === "range unmet" ? undefined : referenceOf(body.headers);
    if (body === "range unmet") {
      // A reference is smaller than what it refers to, and an empty object has no range at all.
      const found = await requests.head(key, signal);
      if (found === undefined) return undefined;
      if (found.reference === undefined) return nothingOf(found.sizeBytes);
      reference = found.reference;
    } else if (reference === undefined) {
      return openBlob(requests, body, signal);
    } else {
      for await (const _ of requests.chunks(body, signal));
    }
    if (reference.dataKey === undefined) return undefined;
    const data = await requests.open(reference.dataKey, range, signal, probe);
    if (data === undefined) return reference;
    return data === "range unmet" ? nothingOf(reference.sizeBytes) : openBlob(requests, data, signal);
  }

  /** Whether what is at the key is the blob, and stays there as long as it would if it were written now. */
  async #staysThere(key: string, blob: BlobRef, keeping: Keeping | undefined, signal: AbortSignal): Promise<boolean> {
    if (keeping?.renewAfterMs !== undefined) {
      const found = await this.#requests.head(key, signal);
      if (found === undefined || isStale(found.storedAt, keeping)) return false;
    }
    return (await this.#isThere(key, blob, signal)) && this.hold(key, keeping?.atLeastMs ?? 0, signal);
  }

  /** Whether what is at the key is the blob; read whole. */
  async #isThere(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    const opened = await this.read(key, { offset: 0, length: undefined }, signal);
    if (opened === undefined) return false;
    try {
      if (opened.sizeBytes !== blob.sizeBytes) return false;
      return (await hashOf(opened.chunks)).hex === blob.hex;
    } finally {
      await opened.close();
    }
  }
}

function openBlob(requests: S3Requests, body: StoreBody, signal: AbortSignal): OpenBlob {
  const total = body.headers["content-range"]?.split("/")[1];
  return {
    sizeBytes: Number(total ?? body.headers["content-length"]),
    chunks: requests.chunks(body, signal),
    close: async () => body.destroy(new Error("no longer read")),
  };
}

function isReference(opened: OpenBlob | Reference | undefined): opened is Reference {
  return opened !== undefined && "dataKey" in opened;
}

/** A range in which there is nothing. */
function nothingOf(sizeBytes: number): OpenBlob {
  return { sizeBytes, chunks: noChunks(), close: async () => undefined };
}

async function* noChunks(): AsyncGenerator<Buffer, void, void> {}
