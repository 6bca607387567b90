import { hiddenDataKey } from "./s3-expired-records.ts";
import {
  dataFolderOf,
  objectsBelow,
  recordFolderOf,
  recordsBelow,
  recordsFolder,
  type UploadRecord,
} from "./s3-records.ts";
import { referenceBytes } from "./s3-reference.ts";
import type { S3Requests } from "./s3-requests.ts";
import { abortUpload } from "./s3-uploads.ts";

/** Where references go that were set aside. */
export const asideFolder = "corrupt/";

/**
 * Lets go of the unfinished upload that a record stands for, and then of the record: of the two that would end an upload,
 * one comes first, and the store knows which. Data that is finished already may be referenced in this moment: it stays,
 * and so does the record, by which the sweep finds it.
 */
export async function abandonUpload(
  requests: S3Requests,
  { key, dataKey }: Pick<UploadRecord, "key" | "dataKey">,
  signal: AbortSignal,
): Promise<void> {
  const wasThere = await abortUpload(requests, dataKey, signal);
  if (wasThere && (await requests.head(dataKey, signal)) === undefined) await requests.remove(key, signal);
}

/**
 * Lets go of what a record stands for, and then of the record; what is referenced stays. Whether there was something
 * to let go of. Only for what nobody can go on with any more: whoever does may reference it meanwhile.
 */
export async function discardUpload(
  requests: S3Requests,
  { key, blobKey, dataKey }: Pick<UploadRecord, "key" | "blobKey" | "dataKey">,
  signal: AbortSignal,
): Promise<boolean> {
  await abortUpload(requests, dataKey, signal);
  let isReferenced = false;
  for await (const referenced of referencedData(requests, blobKey, signal)) {
    isReferenced = referenced === dataKey;
    if (isReferenced) break;
  }
  if (!isReferenced) await requests.remove(dataKey, signal);
  await requests.remove(key, signal);
  return !isReferenced;
}

/**
 * Removes the data objects of a key that nothing refers to and no record stands for. Looked at in this order, one that is
 * under way is seen in its record, or else in its reference, which is put before the record goes.
 *
 * @param but a record that counts for nothing
 */
export async function removeStrays(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
  but?: string,
): Promise<void> {
  const strays = new Set<string>();
  for await (const data of objectsBelow(requests, dataFolderOf(key), "", signal)) strays.add(data.key);
  if (strays.size === 0) return;
  for await (const record of recordsBelow(requests, recordFolderOf(key), signal))
    if (record.key !== but) strays.delete(record.dataKey);
  for await (const dataKey of referencedData(requests, key, signal)) {
    strays.delete(dataKey ?? "");
    if (strays.size === 0) return;
  }
  const aside = `${asideFolder}${key.slice(key.lastIndexOf("/") + 1)}-`;
  for await (const object of objectsBelow(requests, aside, "", signal)) {
    if (object.sizeBytes !== referenceBytes) continue;
    strays.delete((await requests.head(object.key, signal))?.reference?.dataKey ?? "");
  }
  for (const stray of strays) await requests.remove(stray, signal);
}

/**
 * The data that a key's references lead to: of the blob that is there, and of one that is out of sight. The first is looked at
 * twice, since it may go out of sight, or come back, in between.
 */
async function* referencedData(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<string | undefined, void, void> {
  yield (await requests.head(key, signal))?.reference?.dataKey;
  yield await hiddenDataKey(requests, key, signal);
  yield (await requests.head(key, signal))?.reference?.dataKey;
}

/** See `Backend.sweep`. Everything that is not referenced has a record, or the key of one: so listing records finds it. */
export async function sweepUploads(requests: S3Requests, before: Date, signal: AbortSignal): Promise<number> {
  let removed = 0;
  const faults: unknown[] = [];
  for await (const folder of leftFolders(requests, before, signal)) {
    try {
      if (await sweepFolder(requests, folder, before, signal)) removed++;
    } catch (fault) {
      signal.throwIfAborted();
      faults.push(fault);
    }
  }
  if (faults.length > 0) throw faults[0];
  return removed;
}

/** The folders of the data objects whose records, of all attempts, are older. */
async function* leftFolders(
  requests: S3Requests,
  before: Date,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  let folder: string | undefined;
  let isLeft = false;
  for await (const record of recordsBelow(requests, recordsFolder, signal)) {
    if (record.folder !== folder) {
      if (folder !== undefined && isLeft) yield folder;
      folder = record.folder;
      isLeft = true;
    }
    isLeft &&= record.storedAt < before;
  }
  if (folder !== undefined && isLeft) yield folder;
}

async function sweepFolder(requests: S3Requests, folder: string, before: Date, signal: AbortSignal): Promise<boolean> {
  const records: UploadRecord[] = [];
  // Once more, right before: somebody may have gone on with it.
  for await (const record of recordsBelow(requests, folder, signal)) records.push(record);
  if (records.some(({ storedAt }) => storedAt >= before)) return false;
  let wasLeft = false;
  for (const record of records) wasLeft = (await discardUpload(requests, record, signal)) || wasLeft;
  for (const key of new Set(records.map(({ blobKey }) => blobKey))) await removeStrays(requests, key, signal);
  return wasLeft;
}
