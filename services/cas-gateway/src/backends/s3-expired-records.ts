import { StoreFault } from "./s3-errors.ts";
import { headOf } from "./s3-head.ts";
import { objectsBelow } from "./s3-records.ts";
import { referenceHeaders } from "./s3-reference.ts";
import type { S3Requests } from "./s3-requests.ts";

/** Which version of a key is hidden. It has the metadata of a reference, by which its data is not taken for left. */
export interface ExpiredRecord {
  key: string;
  versionId: string;
  storedAt: Date;
  hiddenAt: Date;
  /** When the store told of it. */
  toldAt: Date;
  /** Undefined: the object is its blob itself. */
  dataKey: string | undefined;
}

const versionHeader = "x-amz-meta-attestry-version";
const storedHeader = "x-amz-meta-attestry-stored";
const empty = Buffer.alloc(0);
const expiredFolder = "expired/";
const space = "blobs/";
/** What lies below the folder may also be another backend's, whose prefix begins so; then it begins with another name. */
const namePattern = /^[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{64}$/;

/** Of a blob of `blobs/`; no other has a record. */
export function expiredKeyOf(key: string): string {
  return expiredFolder + key.slice(space.length);
}

/** The keys of the blobs that have a record. */
export async function* recordsOfExpired(requests: S3Requests, signal: AbortSignal): AsyncGenerator<string, void, void> {
  for await (const object of objectsBelow(requests, expiredFolder, "", signal)) {
    const name = object.key.slice(expiredFolder.length);
    if (namePattern.test(name)) yield space + name;
  }
}

/**
 * Puts it, or puts it anew: then its blob counts as hidden just now. False if there is one and `absent` is wanted, as far as
 * the store knows this condition.
 */
export function writeExpired(
  requests: S3Requests,
  { key, versionId, storedAt, dataKey }: Omit<ExpiredRecord, "hiddenAt" | "toldAt">,
  { onlyIf }: { onlyIf: "absent" | undefined },
  signal: AbortSignal,
): Promise<boolean> {
  const headers = {
    ...(dataKey !== undefined && referenceHeaders({ dataKey, sizeBytes: 0 })),
    [versionHeader]: versionId,
    [storedHeader]: storedAt.toISOString(),
  };
  return requests.put(expiredKeyOf(key), empty, { headers, onlyIf }, signal);
}

/** Undefined: there is none. */
export async function expiredRecord(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
): Promise<ExpiredRecord | undefined> {
  try {
    const { headers } = await requests.subresource({ method: "HEAD", key: expiredKeyOf(key), query: "" }, signal);
    const { storedAt: hiddenAt, toldAt, reference } = headOf(headers);
    const [versionId, storedAt] = [headers[versionHeader], headers[storedHeader]].map(String);
    return {
      key,
      versionId: versionId ?? "",
      storedAt: new Date(storedAt ?? ""),
      hiddenAt,
      toldAt,
      dataKey: reference?.dataKey,
    };
  } catch (fault) {
    if (fault instanceof StoreFault && fault.isAbsent) return undefined;
    throw requests.told(fault);
  }
}

/** Where the data of the key's hidden blob is; undefined if none is hidden, or it is its object itself. */
export async function hiddenDataKey(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  return key.startsWith(space) ? (await expiredRecord(requests, key, signal))?.dataKey : undefined;
}
