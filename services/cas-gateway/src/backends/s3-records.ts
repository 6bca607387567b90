import { randomUUID } from "node:crypto";
import type { BlobRef } from "../blobs/blob-ref.ts";
import type { ListedObject, S3Requests } from "./s3-requests.ts";

/**
 * An empty object that is there as long as a data object (or the multipart upload that will make it) is not referenced,
 * put before and deleted after: `uploads/<key>/<digest>-<size>/<upload id>/<data id>/<attempt>`. By these names
 * uploads are found again by another replica, and by the sweep when their gateway is gone. Each attempt at an upload has
 * one of its own.
 */
export interface UploadRecord extends ListedObject {
  /** Key of the blob. */
  blobKey: string;
  dataKey: string;
  /** Folder of the records of this data object. */
  folder: string;
}

export const recordsFolder = "uploads/";
const empty = Buffer.alloc(0);
/** So often within the retention a record is put again. */
const refreshesInRetention = 4;
const shortestRefreshMs = 1_000;
/** A timer of Node's holds no more. */
const longestRefreshMs = 2 ** 31 - 1;
const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
/** What lies below `uploads/` may also be somebody else's, whose prefix begins so. */
const recordPattern = new RegExp(
  `^${recordsFolder}((?:blobs|bundles|scrub|probes)/.+)/(?:[0-9a-f]{64}-[0-9]{1,16}|deleted)/${uuid}/(${uuid})/${uuid}$`,
);

export function recordFolder(key: string, { hex, sizeBytes }: BlobRef, uploadId: string): string {
  return `${recordsFolder}${key}/${hex}-${sizeBytes}/${uploadId}/`;
}

/** The folder of the records of all uploads to a blob's key. */
export function recordFolderOf(key: string): string {
  return `${recordsFolder}${key}/`;
}

/** The folder of all data objects of a blob's key. */
export function dataFolderOf(key: string): string {
  return `data/${key}/`;
}

/** A data object for a key, of a name that no other has. */
export function newDataKey(key: string): string {
  return dataFolderOf(key) + randomUUID();
}

/** The records below a folder, in the order of their names; names that are no record's are passed over. */
export async function* recordsBelow(
  requests: S3Requests,
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<UploadRecord, void, void> {
  for await (const object of objectsBelow(requests, folder, "", signal)) {
    const record = recordOf(object);
    if (record !== undefined) yield record;
  }
}

/** The objects below a folder after a key, page after page. */
export async function* objectsBelow(
  requests: S3Requests,
  folder: string,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject, void, void> {
  for await (const objects of pagesBelow(requests, folder, after, signal)) yield* objects;
}

/** As `objectsBelow`, for who works on a page at a time. */
export async function* pagesBelow(
  requests: S3Requests,
  folder: string,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject[], void, void> {
  let last = after;
  for (let more = true; more; ) {
    const page = await requests.page(folder, last, signal);
    yield page.objects;
    last = page.objects.at(-1)?.key ?? last;
    more = page.more && page.objects.length > 0;
  }
}

function recordOf(object: ListedObject): UploadRecord | undefined {
  const [, blobKey, dataId] = recordPattern.exec(object.key) ?? [];
  if (blobKey === undefined || dataId === undefined || object.sizeBytes !== 0) return undefined;
  const folder = object.key.slice(0, object.key.lastIndexOf("/") + 1);
  return { ...object, blobKey, dataKey: dataFolderOf(blobKey) + dataId, folder };
}

/** This process's record of an attempt; shown again and again until it is stopped, so that no sweep takes it for left. */
export class LiveRecord {
  readonly #requests: S3Requests;
  readonly #folder: string;
  readonly name: string;
  readonly #refreshMs: number;
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<unknown> | undefined;

  /** @param folder that of the records of its upload */
  constructor(requests: S3Requests, folder: string, dataKey: string, retentionMs: number) {
    this.#requests = requests;
    this.#folder = `${folder}${dataKey.slice(dataKey.lastIndexOf("/") + 1)}/`;
    this.name = this.#folder + randomUUID();
    this.#refreshMs = Math.min(longestRefreshMs, Math.max(shortestRefreshMs, retentionMs / refreshesInRetention));
  }

  async put(signal: AbortSignal): Promise<void> {
    await this.#requests.put(this.name, empty, {}, signal);
    this.#timer = setInterval(() => this.#refresh(), this.#refreshMs).unref();
  }

  /** Whether this is the one attempt at its data object: another could have sent parts of other bytes, or have taken it over. */
  async isAlone(signal: AbortSignal): Promise<boolean> {
    const { objects } = await this.#requests.page(this.#folder, "", signal);
    return objects.length === 1 && objects[0]?.key === this.name;
  }

  /** Deletes the records of the attempts before this one, which has taken over. */
  async takeOver(signal: AbortSignal): Promise<void> {
    for await (const { key } of recordsBelow(this.#requests, this.#folder, signal))
      if (key !== this.name) await this.#requests.remove(key, signal);
  }

  /** Leaves the record as it is. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#controller.abort();
    await this.#refreshing;
  }

  /** What it stood for is referenced, or gone. */
  async remove(signal: AbortSignal): Promise<void> {
    await this.stop();
    await this.#requests.remove(this.name, signal);
  }

  #refresh(): void {
    // What fails now is tried again with the next one.
    this.#refreshing = this.#requests.put(this.name, empty, {}, this.#controller.signal).catch(() => undefined);
  }
}
