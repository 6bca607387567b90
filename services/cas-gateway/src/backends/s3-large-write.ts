import { createHash, randomUUID } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import { itemsUntilAborted } from "../blobs/abortable.ts";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { digestMismatch, sizeMismatch, verified } from "../blobs/verified.ts";
import { backendUnavailable, type WriteOptions } from "./backend.ts";
import { discardUpload, removeStrays } from "./s3-leftovers.ts";
import { partSizeFor } from "./s3-parts.ts";
import { LiveRecord, newDataKey, recordFolder, recordsBelow, type UploadRecord } from "./s3-records.ts";
import { referenceBody, referenceHeaders } from "./s3-reference.ts";
import type { S3Requests } from "./s3-requests.ts";
import { type BegunUpload, keptUpload, PartSender } from "./s3-uploads.ts";

export interface LargeWrite {
  key: string;
  blob: BlobRef;
  source: AsyncIterable<Uint8Array>;
  options: WriteOptions;
  retentionMs: number;
  /** Whether what is at the key is the blob: read and hashed. */
  isThere: (signal: AbortSignal) => Promise<boolean>;
}

/** What is kept of an upload that broke off. */
interface Kept {
  dataKey: string;
  /** Undefined: all of it has become an object. */
  upload: BegunUpload | undefined;
  committed: number;
}

/** How long parts on their way may take to arrive when an upload broke off, in milliseconds. */
const keptPartsMs = 5_000;
const otherPartsMs = 1_000;
const discardMs = 10_000;

/**
 * Writes a blob as a data object of its own in parts, and puts its reference when all bytes are proven: while they flow,
 * or by reading them back where some came in another attempt.
 */
export async function writeLarge(requests: S3Requests, write: LargeWrite): Promise<void> {
  const { key, blob, options, retentionMs } = write;
  const { signal, resumable } = options;
  const offset = resumable?.offset ?? 0;
  const folder = recordFolder(key, blob, resumable?.uploadId ?? randomUUID());
  const kept = offset > 0 ? await furthestKept(requests, folder, blob, signal) : undefined;
  if (offset > 0 && kept?.committed !== offset) throw offsetInvalid(kept?.committed ?? 0, offset);

  const dataKey = kept?.dataKey ?? newDataKey(key);
  const record = new LiveRecord(requests, folder, dataKey, retentionMs);
  async function begin(begun: AbortSignal): Promise<BegunUpload | undefined> {
    if (resumable !== undefined && kept === undefined) await letGo(requests, folder, begun);
    await record.put(begun);
    if (kept === undefined) return { ...(await requests.createUpload(dataKey, begun)), parts: [] };
    await record.takeOver(begun);
    return kept.upload;
  }
  const partBytes = partSizeFor(blob.sizeBytes);
  const sender = new PartSender(requests, { dataKey, partBytes, begin, kept: kept?.upload });
  let isPublishing = false;
  try {
    const source = itemsUntilAborted(write.source, signal);
    const bytes = offset > 0 ? counted(source, blob, offset) : verified(source, blob);
    for await (const chunk of bytes) await sender.add(chunk, signal);
    const isMine = await sender.complete(signal);
    const isProven = offset === 0 && isMine && (resumable === undefined || (await record.isAlone(signal)));
    if (!isProven) await prove(requests, dataKey, blob, signal);
    isPublishing = true;
    await publish(requests, write, dataKey, isProven);
    // The blob is there; a record that stays is the sweep's.
    await record.remove(signal).catch(() => undefined);
  } catch (fault) {
    // Whether a reference that was sent has come to be is not known: the sweep will see.
    const isKept = isPublishing || (resumable?.keepAfter(fault) === true && !isWrong(fault));
    const isBegun = await sender.settle(isKept ? keptPartsMs : otherPartsMs);
    await record.stop();
    // What cannot be discarded now has its record, by which the sweep finds it.
    if (!isKept && isBegun) await discard(requests, key, dataKey, record).catch(() => undefined);
    throw fault;
  } finally {
    sender.close();
  }
}

/** How many bytes of an upload the store has, where it can be gone on with. */
export async function committedBytes(
  requests: S3Requests,
  { key, blob, uploadId }: { key: string; blob: BlobRef; uploadId: string },
  signal: AbortSignal,
): Promise<number> {
  return (await furthestKept(requests, recordFolder(key, blob, uploadId), blob, signal))?.committed ?? 0;
}

async function furthestKept(
  requests: S3Requests,
  folder: string,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<Kept | undefined> {
  const records: UploadRecord[] = [];
  for await (const record of recordsBelow(requests, folder, signal)) records.push(record);
  let furthest: Kept | undefined;
  for (const dataKey of new Set(records.map((record) => record.dataKey))) {
    const partBytes = partSizeFor(blob.sizeBytes);
    const upload = await keptUpload(requests, dataKey, partBytes, signal);
    const whole = upload === undefined ? await requests.head(dataKey, signal) : undefined;
    const committed = upload === undefined ? (whole?.sizeBytes ?? 0) : upload.parts.length * partBytes;
    if (committed > (furthest?.committed ?? 0)) furthest = { dataKey, upload, committed };
  }
  return furthest;
}

/** Lets go of what was kept under the folder of an upload. */
async function letGo(requests: S3Requests, folder: string, signal: AbortSignal): Promise<void> {
  const records: UploadRecord[] = [];
  for await (const record of recordsBelow(requests, folder, signal)) records.push(record);
  for (const record of records) await discardUpload(requests, record, signal);
}

/** Reads the data object back: it is what will be read, whoever sent its parts. Throws DIGEST_MISMATCH. */
async function prove(requests: S3Requests, dataKey: string, blob: BlobRef, signal: AbortSignal): Promise<void> {
  const body = await requests.open(dataKey, { offset: 0, length: undefined }, signal);
  if (body === undefined || body === "range unmet")
    throw backendUnavailable("the upload's data is gone from the backend's object store", undefined);
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of requests.chunks(body, signal)) {
    hash.update(chunk);
    received += chunk.byteLength;
  }
  if (received !== blob.sizeBytes) throw sizeMismatch(blob.sizeBytes, String(received));
  const hex = hash.digest("hex");
  if (hex !== blob.hex) throw digestMismatch(blob.hex, hex);
}

/** Makes the blob visible, unless it is already. */
async function publish(
  requests: S3Requests,
  { key, blob, options: { signal }, isThere }: LargeWrite,
  dataKey: string,
  isYoung: boolean,
): Promise<void> {
  const reference = { dataKey, sizeBytes: blob.sizeBytes };
  const [body, headers] = [referenceBody(reference), referenceHeaders(reference)];
  if (!(await requests.put(key, body, { headers, onlyIf: "absent" }, signal))) {
    // An attempt whose answer was lost may have put it.
    if ((await requests.head(key, signal))?.reference?.dataKey === dataKey) return;
    if (await isThere(signal)) return requests.remove(dataKey, signal);
    await requests.put(key, body, { headers }, signal);
    // What was here before refers to nothing now.
    await removeStrays(requests, key, signal);
  }
  if (isYoung) return;
  // An old upload may have met the sweep in the moment that it was taken up again.
  if ((await requests.head(dataKey, signal)) !== undefined) return;
  const here = await requests.head(key, signal);
  if (here?.reference?.dataKey === dataKey) await requests.remove(key, signal);
  throw backendUnavailable("the upload's data is gone from the backend's object store", undefined);
}

async function discard(requests: S3Requests, key: string, dataKey: string, record: LiveRecord): Promise<void> {
  const patience = AbortSignal.timeout(discardMs);
  // Whoever took it over goes on with it.
  if (await record.isAlone(patience))
    await discardUpload(requests, { key: record.name, blobKey: key, dataKey }, patience);
  else await record.remove(patience);
}

/** The bytes of a source that begins within the blob; throws SIZE_MISMATCH. What they are is proven afterwards. */
async function* counted(
  source: AsyncIterable<Uint8Array>,
  { sizeBytes }: BlobRef,
  offset: number,
): AsyncGenerator<Uint8Array, void, void> {
  let end = offset;
  for await (const chunk of source) {
    end += chunk.byteLength;
    if (end > sizeBytes) throw sizeMismatch(sizeBytes, `at least ${end}`);
    yield chunk;
  }
  if (end !== sizeBytes) throw sizeMismatch(sizeBytes, String(end));
}

function isWrong(fault: unknown): boolean {
  return fault instanceof DomainError && (fault.code === "SIZE_MISMATCH" || fault.code === "DIGEST_MISMATCH");
}

/** An upload can be gone on with only where it broke off. */
export function offsetInvalid(expected: number, actual: number): DomainError {
  return new DomainError(
    "WRITE_OFFSET_INVALID",
    `the upload is kept up to byte ${expected}; what came begins at ${actual}`,
    { metadata: { expected: String(expected), actual: String(actual) } },
  );
}
