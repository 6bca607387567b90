import { concurrently } from "../blobs/concurrently.ts";
import type { KeyedBlob, ListedBlob } from "./backend.ts";
import { groupByFolder } from "./s3-folders.ts";
import { referenceBytes } from "./s3-reference.ts";
import type { ListedObject, S3Requests } from "./s3-requests.ts";

const listingsAtATime = 16;
const lookupsAtATime = 64;
const mostPages = 4;

/** The size of a blob by its key; undefined if there is none. */
export async function sizeOf(requests: S3Requests, key: string, signal: AbortSignal): Promise<number | undefined> {
  const found = await requests.head(key, signal);
  if (found?.reference === undefined) return found?.sizeBytes;
  return found.reference.dataKey === undefined ? undefined : found.reference.sizeBytes;
}

/**
 * See `Backend.sizes`. Where many keys share a folder, its pages are listed, a thousand objects each: that is hundreds
 * of requests in place of tens of thousands. Keys in a folder that goes on after a few pages, keys that are alone,
 * and what may be a reference are asked for one by one.
 */
export async function sizesOf(
  requests: S3Requests,
  blobs: readonly KeyedBlob[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const { crowded, alone } = groupByFolder(blobs.map(({ key }) => key));
  const sizes = new Map<string, number>();
  const listed = await concurrently(crowded, listingsAtATime, async ({ folder, keys }) => {
    const found = await listFolder(requests, folder, signal);
    if (found === undefined) return keys;
    for (const key of keys) {
      const size = found.get(key);
      if (size !== undefined && size !== referenceBytes) sizes.set(key, size);
    }
    return keys.filter((key) => found.get(key) === referenceBytes);
  });
  await concurrently([...alone, ...listed.flat()], lookupsAtATime, async (key) => {
    const size = await sizeOf(requests, key, signal);
    if (size !== undefined) sizes.set(key, size);
  });
  return sizes;
}

/** See `Backend.list`. */
export async function* listBlobs(
  requests: S3Requests,
  folder: string,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<ListedBlob, void, void> {
  let last = after;
  for (let more = true; more; ) {
    const page = await requests.page(folder, last, signal);
    const blobs = await concurrently(page.objects, listingsAtATime, (object) => blobOf(requests, object, signal));
    for (const blob of blobs) if (blob !== undefined) yield blob;
    last = page.objects.at(-1)?.key ?? last;
    more = page.more && page.objects.length > 0;
  }
}

async function blobOf(
  requests: S3Requests,
  object: ListedObject,
  signal: AbortSignal,
): Promise<ListedBlob | undefined> {
  if (object.sizeBytes !== referenceBytes) return object;
  const sizeBytes = await sizeOf(requests, object.key, signal);
  return sizeBytes === undefined ? undefined : { ...object, sizeBytes };
}

/** The sizes of all objects below a folder; undefined if there are too many of them. */
async function listFolder(
  requests: S3Requests,
  folder: string,
  signal: AbortSignal,
): Promise<Map<string, number> | undefined> {
  const sizes = new Map<string, number>();
  let last = "";
  for (let page = 0; page < mostPages; page++) {
    const { objects, more } = await requests.page(folder, last, signal);
    for (const { key, sizeBytes } of objects) sizes.set(key, sizeBytes);
    if (!more) return sizes;
    last = objects.at(-1)?.key ?? last;
  }
  return undefined;
}
