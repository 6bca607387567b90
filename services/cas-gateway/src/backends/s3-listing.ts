import { concurrently } from "../blobs/concurrently.ts";
import type { KeyedBlob, ListedBlob } from "./backend.ts";
import { type Folder, groupByFolder } from "./s3-folders.ts";
import { pagesBelow } from "./s3-records.ts";
import { referenceBytes } from "./s3-reference.ts";
import type { ListedObject, S3Requests } from "./s3-requests.ts";

const listingsAtATime = 16;
const lookupsAtATime = 64;
/** A page that tells of fewer keys takes the store longer than to be asked for each of them. */
const fewestPerPage = 8;

/** The size of a blob by its key; undefined if there is none. */
export async function sizeOf(requests: S3Requests, key: string, signal: AbortSignal): Promise<number | undefined> {
  const found = await requests.head(key, signal);
  if (found?.reference === undefined) return found?.sizeBytes;
  return found.reference.dataKey === undefined ? undefined : found.reference.sizeBytes;
}

/**
 * See `Backend.sizes`. Where many keys share a folder, its pages are listed where the keys are, a thousand objects each:
 * that is hundreds of requests in place of tens of thousands. Keys that lie far from each other, keys that are alone, and
 * what may be a reference are asked for one by one.
 */
export async function sizesOf(
  requests: S3Requests,
  blobs: readonly KeyedBlob[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const { crowded, alone } = groupByFolder(blobs.map(({ key }) => key));
  const sizes = new Map<string, number>();
  const listed = await concurrently(crowded, listingsAtATime, async (folder) => {
    const { found, left } = await listKeys(requests, folder, signal);
    for (const [key, size] of found) {
      if (size === referenceBytes) left.push(key);
      else sizes.set(key, size);
    }
    return left;
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
  for await (const objects of pagesBelow(requests, folder, after, signal)) {
    const blobs = await concurrently(objects, listingsAtATime, (object) => blobOf(requests, object, signal));
    for (const blob of blobs) if (blob !== undefined) yield blob;
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

/** The sizes of those keys of a folder that are there, as far as listing it is worth it; `left` is what it did not come to. */
async function listKeys(
  requests: S3Requests,
  { folder, keys }: Folder,
  signal: AbortSignal,
): Promise<{ found: Map<string, number>; left: string[] }> {
  const wanted = new Set(keys);
  const found = new Map<string, number>();
  let left = keys.toSorted();
  for (let told = fewestPerPage; told >= fewestPerPage; ) {
    const [next] = left;
    if (next === undefined) break;
    // A page begins after a key: the longest that is certainly before the next one wanted is that without its end.
    const { objects, more } = await requests.page(folder, next.slice(0, -1), signal);
    for (const { key, sizeBytes } of objects) if (wanted.has(key)) found.set(key, sizeBytes);
    const last = objects.at(-1)?.key ?? "";
    const after = more ? left.filter((key) => key > last) : [];
    told = left.length - after.length;
    left = after;
  }
  return { found, left };
}
