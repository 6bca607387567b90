import { randomUUID } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import { itemsUntilAborted, untilAborted } from "../blobs/abortable.ts";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import { hashOf } from "../blobs/hash-of.ts";
import { blobTooLarge, digestMismatch, sizeMismatch, verified } from "../blobs/verified.ts";
import { backendUnavailable, type WriteOptions, type WriteOutcome } from "./backend.ts";
import { fileNameHeaders } from "./s3-file-name.ts";
import { keptUpload } from "./s3-kept-upload.ts";
import { abandonUpload, removeStrays } from "./s3-leftovers.ts";
import { mostUnsizedBytes, partSizeFor } from "./s3-parts.ts";
import { LiveRecord, newDataKey, recordFolder, recordsBelow, type UploadRecord } from "./s3-records.ts";
import { referenceBody, referenceHeaders } from "./s3-reference.ts";
import type { S3Requests } from "./s3-requests.ts";
import { abortUpload, type BegunUpload, PartSender } from "./s3-uploads.ts";

export interface LargeWrite {
  key: string;
  blob: BlobQuery;
  source: AsyncIterable<Uint8Array>;
  options: WriteOptions;
  retentionMs: number;
  /** Whether what is at the key is the blob: read and hashed. */
  isThere: (blob: BlobRef, signal: AbortSignal) => Promise<boolean>;
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
/** What is older, as a part of the retention, is left to the sweep, which must not meet anybody who goes on with it. */
const youngInRetention = 0.75;

/**
 * Writes a blob as a data object of its own in parts, and puts its reference when all bytes are proven: while they flow,
 * or by reading them back where some came in another attempt.
 */
export async function writeLarge(requests: S3Requests, write: LargeWrite): Promise<WriteOutcome> {
  const { key, blob, options, retentionMs } = write;
  const { signal, resumable } = options;
  const offset = resumable?.offset ?? 0;
  // Of an unknown size the records say 0.
  const sized = { hex: blob.hex, sizeBytes: blob.sizeBytes ?? 0 };
  const folder = recordFolder(key, sized, resumable?.uploadId ?? randomUUID());
  const kept = offset > 0 ? await furthestKept(requests, folder, { blob: sized, retentionMs }, signal) : undefined;
  if (offset > 0 && kept?.committed !== offset) throw offsetInvalid(kept?.committed ?? 0, offset);

  const dataKey = kept?.dataKey ?? newDataKey(key);
  const record = new LiveRecord(requests, folder, dataKey, retentionMs);
  let lettingGo: Promise<void> = Promise.resolve();
  let isAlone = kept?.upload?.isAlone ?? true;
  async function begin(begun: AbortSignal): Promise<BegunUpload | undefined> {
    if (resumable !== undefined && kept === undefined) {
      // Listed before there is one of its own: of two attempts that begin at once, neither lets go of the other.
      const listed = recordsIn(requests, folder, begun);
      // What cannot be let go of now has its record, by which the sweep finds it.
      lettingGo = listed.then((records) => letGo(requests, records, begun)).catch(() => undefined);
      await listed;
    }
    await record.put(begun);
    if (kept === undefined) {
      const created = await requests.createUpload(dataKey, begun);
      isAlone = created.isAlone;
      return { ...created, parts: [] };
    }
    await record.takeOver(begun);
    return kept.upload;
  }
  const partBytes = partSizeFor(sized.sizeBytes);
  const sender = new PartSender(requests, { dataKey, partBytes, begin, kept: kept?.upload });
  let step: "sending" | "proving" | "publishing" = "sending";
  try {
    const source = itemsUntilAborted(write.source, signal);
    const bytes = offset > 0 ? counted(source, sized, offset) : verified(source, blob);
    let sizeBytes = offset;
    for await (const chunk of bytes) {
      sizeBytes += chunk.byteLength;
      if (blob.sizeBytes === undefined && sizeBytes > mostUnsizedBytes)
        throw blobTooLarge(mostUnsizedBytes, `at least ${sizeBytes}, which its name does not say`);
      await sender.add(chunk, signal);
    }
    const whole = { hex: blob.hex, sizeBytes };
    await untilAborted(() => lettingGo, signal);
    const isMine = await sender.complete(signal);
    const isProven = offset === 0 && isMine && (resumable === undefined || (await record.isAlone(signal)));
    step = "proving";
    if (!isProven) await prove(requests, dataKey, whole, signal);
    step = "publishing";
    const outcome = await publish(requests, write, { blob: whole, dataKey, isYoung: isProven });
    await record.stop();
    // The blob is there; a record that stays is the sweep's.
    await tidy(requests, { key, dataKey, record, outcome, isAlone }, signal).catch(() => undefined);
    return outcome;
  } catch (fault) {
    // Whether a reference that was sent has come to be is not known: the sweep will see.
    const isKept = step === "publishing" || (resumable?.keepAfter(fault) === true && !isWrong(fault));
    const isBegun = await sender.settle(isKept ? keptPartsMs : otherPartsMs, lettingGo);
    await record.stop();
    // Data of wrong bytes, or that nobody else knows of, will never be referenced.
    const isForNobody = resumable === undefined || (step === "proving" && isWrong(fault));
    // What cannot be discarded now has its record, by which the sweep finds it.
    if (!isKept && isBegun) await discard(requests, dataKey, record, isForNobody).catch(() => undefined);
    throw fault;
  } finally {
    sender.close();
  }
}

/** How many bytes of an upload the store has, where it can be gone on with. */
export async function committedBytes(
  requests: S3Requests,
  { key, uploadId, ...upload }: { key: string; blob: BlobRef; uploadId: string; retentionMs: number },
  signal: AbortSignal,
): Promise<number> {
  return (await furthestKept(requests, recordFolder(key, upload.blob, uploadId), upload, signal))?.committed ?? 0;
}

async function furthestKept(
  requests: S3Requests,
  folder: string,
  { blob, retentionMs }: { blob: BlobRef; retentionMs: number },
  signal: AbortSignal,
): Promise<Kept | undefined> {
  const oldest = new Date(Date.now() - youngInRetention * retentionMs);
  const records = (await recordsIn(requests, folder, signal)).filter(({ storedAt }) => storedAt >= oldest);
  let furthest: Kept | undefined;
  for (const dataKey of new Set(records.map((record) => record.dataKey))) {
    const upload = await keptUpload(requests, dataKey, blob.sizeBytes, signal);
    const whole = upload === undefined ? await requests.head(dataKey, signal) : undefined;
    const committed = upload?.committed ?? whole?.sizeBytes ?? 0;
    if (committed > (furthest?.committed ?? 0)) furthest = { dataKey, upload, committed };
  }
  return furthest;
}

async function recordsIn(requests: S3Requests, folder: string, signal: AbortSignal): Promise<UploadRecord[]> {
  const records: UploadRecord[] = [];
  for await (const record of recordsBelow(requests, folder, signal)) records.push(record);
  return records;
}

async function letGo(requests: S3Requests, records: readonly UploadRecord[], signal: AbortSignal): Promise<void> {
  for (const record of records) await abandonUpload(requests, record, signal);
}

/** Reads the data object back: it is what will be read, whoever sent its parts. Throws DIGEST_MISMATCH. */
async function prove(requests: S3Requests, dataKey: string, blob: BlobRef, signal: AbortSignal): Promise<void> {
  const body = await requests.open(dataKey, { offset: 0, length: undefined }, signal);
  if (body === undefined || body === "range unmet")
    throw backendUnavailable("the upload's data is gone from the object store", undefined);
  const { hex, sizeBytes } = await hashOf(requests.chunks(body, signal));
  if (sizeBytes !== blob.sizeBytes) throw sizeMismatch(blob.sizeBytes, String(sizeBytes));
  if (hex !== blob.hex) throw digestMismatch(blob.hex, hex);
}

/** Makes the blob visible, unless it is already. */
async function publish(
  requests: S3Requests,
  { key, options: { signal, fileName }, isThere }: LargeWrite,
  { blob, dataKey, isYoung }: { blob: BlobRef; dataKey: string; isYoung: boolean },
): Promise<WriteOutcome> {
  const reference = { dataKey, sizeBytes: blob.sizeBytes };
  const body = referenceBody(reference);
  const named = (name: string | undefined) => ({
    headers: { ...referenceHeaders(reference), ...fileNameHeaders(name) },
  });
  if (!(await requests.put(key, body, { ...named(fileName), onlyIf: "absent" }, signal))) {
    const found = await requests.head(key, signal);
    // An attempt whose answer was lost may have put it.
    if (found?.reference?.dataKey === dataKey) return "stored";
    if (await isThere(blob, signal)) return "existed";
    await requests.put(key, body, named(found?.fileName ?? fileName), signal);
    // What was here before refers to nothing now.
    await removeStrays(requests, key, signal);
  }
  if (isYoung) return "stored";
  // An old upload may have met the sweep in the moment that it was taken up again.
  if ((await requests.head(dataKey, signal)) !== undefined) return "stored";
  const here = await requests.head(key, signal);
  if (here?.reference?.dataKey === dataKey) await requests.remove(key, signal);
  throw backendUnavailable("the upload's data is gone from the object store", undefined);
}

interface Published {
  key: string;
  dataKey: string;
  record: LiveRecord;
  outcome: WriteOutcome;
  isAlone: boolean;
}

/** Removes what a write that came to its end needs no more; the record last. */
async function tidy(
  requests: S3Requests,
  { key, dataKey, record, outcome, isAlone }: Published,
  signal: AbortSignal,
): Promise<void> {
  if (!isAlone) await abortUpload(requests, dataKey, signal);
  // Not the data as such: another attempt may have taken it over, and have put its reference meanwhile.
  if (outcome === "existed") await removeStrays(requests, key, signal, record.name);
  await record.remove(signal);
}

async function discard(requests: S3Requests, dataKey: string, record: LiveRecord, isForNobody: boolean): Promise<void> {
  const patience = AbortSignal.timeout(discardMs);
  // Whoever took it over goes on with it.
  if (await record.isAlone(patience)) {
    await abortUpload(requests, dataKey, patience);
    if (isForNobody) await requests.remove(dataKey, patience);
    else if ((await requests.head(dataKey, patience)) !== undefined) return;
  }
  await record.remove(patience);
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
