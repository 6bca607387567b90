import { minioClient, testMinio } from "@attestry/dev-env";
import { expect } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { S3Expiry } from "../src/backends/s3-expiry.ts";
import type { S3Options } from "../src/backends/s3-options.ts";
import { S3Requests } from "../src/backends/s3-requests.ts";
import { type ObjectVersion, versionsOf } from "../src/backends/s3-versions.ts";
import type { Expiry, HiddenBlob } from "../src/retention/expiry.ts";
import { chunksOf, type TestBlob } from "./blobs.ts";
import { keyOf, readWith } from "./contract/subject.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

export const prefix = "acme/";
export const soon = () => new Date(Date.now() + 60_000);
const { signal } = new AbortController();
/** As a material that has to be written anew. */
const keeping = { atLeastMs: 0, renewAfterMs: -60_000 };

/** What a test does about the requests of an expiry: what these functions throw is what comes of the request. */
export interface Meeting {
  /** Before a marker is put. */
  deletion?: () => Promise<void>;
  /** Before a version is removed. */
  removal?: () => void;
  deleted?: () => void;
  /** Before a record is put. */
  recording?: () => Promise<void>;
  /** After a record was put. */
  recorded?: () => void;
  /** What the store's clock is ahead of when the record was put. */
  laterMs?: number;
  /** By how much what came after the first version of a key was stored later than it was. */
  gapMs?: number;
}

/** A bucket with Object Lock, and expiries over it whose requests a test may meet. */
export interface ExpiryWorld {
  bucket: Bucket;
  backend: Backend;
  open(changes?: Partial<S3Options>): S3Requests;
  expiry(meet: Meeting): Expiry;
  versions(key: string): Promise<ObjectVersion[]>;
  names(folder: string, options?: { IncludeVersion?: boolean }): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startExpiryWorld(): Promise<ExpiryWorld> {
  const bucket = await startBucket("locked");
  const client = minioClient(testMinio());
  const opened: S3Requests[] = [];
  function open(changes: Partial<S3Options> = {}): S3Requests {
    const requests = new S3Requests({ ...bucket.options, prefix, ...changes });
    opened.push(requests);
    return requests;
  }
  return {
    ...{ bucket, backend: bucket.open(prefix), open },
    expiry: (meet) => new S3Expiry(met(open(), meet), prefix),
    versions: (key) => versionsOf(open(), { prefix, key }, signal),
    async names(folder, options = {}) {
      const names: string[] = [];
      for await (const { name } of client.listObjects(bucket.options.bucket, prefix + folder, true, options))
        names.push(name ?? "");
      return names;
    },
    async stop() {
      for (const requests of opened) requests.close();
      await bucket.stop();
    },
  };
}

function met(requests: S3Requests, meet: Meeting): S3Requests {
  const subresource = requests.subresource.bind(requests);
  requests.subresource = async (sent, ...rest) => {
    const isDeletion = sent.method === "DELETE" && sent.query === "";
    if (isDeletion) await meet.deletion?.();
    else if (sent.method === "DELETE") meet.removal?.();
    const answer = await subresource(sent, ...rest);
    if (isDeletion) meet.deleted?.();
    const date = new Date(Date.parse(String(answer.headers.date)) + (meet.laterMs ?? 0)).toUTCString();
    const body = sent.query.endsWith("&versions") ? laterButFirst(answer.body, meet.gapMs ?? 0) : answer.body;
    return { body, headers: { ...answer.headers, date } };
  };
  const put = requests.put.bind(requests);
  requests.put = async (...args) => {
    await meet.recording?.();
    const isPut = await put(...args);
    meet.recorded?.();
    return isPut;
  };
  return requests;
}

/** A listing of versions, the newest first, as if all but the last of them had been stored so much later. */
function laterButFirst(listing: string, gapMs: number): string {
  const last = listing.lastIndexOf("<LastModified>");
  return listing.replaceAll(/<LastModified>([^<]*)</g, (found, at: string, offset: number) =>
    offset === last ? found : `<LastModified>${new Date(Date.parse(at) + gapMs).toISOString()}<`,
  );
}

export const write = (backend: Backend, blob: TestBlob) =>
  backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal, keeping });

export async function hiddenBy(expiry: Expiry, blob: TestBlob): Promise<HiddenBlob[]> {
  const found: HiddenBlob[] = [];
  for await (const one of expiry.hidden(signal)) if (one.key === keyOf(blob)) found.push(one);
  return found;
}

export async function expectThere(backend: Backend, blob: TestBlob): Promise<void> {
  expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
}

export function dies(): never {
  throw new Error("it died");
}
