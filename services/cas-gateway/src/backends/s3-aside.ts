import { createHash, randomUUID } from "node:crypto";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { fileNameHeaders } from "./s3-file-name.ts";
import { asideFolder } from "./s3-leftovers.ts";
import { type Reference, referenceBody, referenceHeaders } from "./s3-reference.ts";
import type { S3Requests } from "./s3-requests.ts";

const empty: Reference = { dataKey: undefined, sizeBytes: 0 };
const otherTag = '"00000000000000000000000000000000"';

/**
 * See `Backend.setAside`. S3 has no move. What takes the object's place is an empty one, put only if the object is still the
 * one that was read (`If-Match`), so that a right write that came between stays. A store that does not know this
 * condition would overwrite that: it is found out on the copy, and then nothing is done.
 */
export async function setObjectAside(
  requests: S3Requests,
  key: string,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await requests.head(key, signal);
  if (found === undefined) return false;
  const { reference, etag, isTagOfBytes, fileName } = found;
  if (reference !== undefined && reference.dataKey === undefined) return false;
  const { sha256, md5 } = await digestsOf(requests, reference?.dataKey ?? key, signal);
  if (sha256 === blob.hex) return false;
  // The tag of an object that rotted may be the MD5 of the right bytes, which a right write would have again.
  if (reference === undefined && isTagOfBytes && etag !== `"${md5}"`) return false;

  const aside = `${asideFolder}${blob.hex}-${randomUUID()}`;
  if (reference !== undefined) {
    await requests.put(aside, referenceBody(reference), { headers: referenceHeaders(reference) }, signal);
  } else if (!(await requests.copy(key, aside, etag, signal))) {
    return false;
  }
  // The right write that comes gets the name.
  const headers = { ...referenceHeaders(empty), ...fileNameHeaders(fileName) };
  const replace = (name: string, tag: string) =>
    requests.put(name, referenceBody(empty), { headers, onlyIf: { etag: tag } }, signal);
  const isAside =
    (await requests.features.knowsReplacing(async () => !(await replace(aside, otherTag)))) &&
    ((await replace(key, etag)) || (await isEmptied(requests, key, signal)));
  if (!isAside) await requests.remove(aside, signal);
  return isAside;
}

/** The answer to a replacement may have been lost, and the condition was unmet when it was sent again. */
async function isEmptied(requests: S3Requests, key: string, signal: AbortSignal): Promise<boolean> {
  const reference = (await requests.head(key, signal))?.reference;
  return reference !== undefined && reference.dataKey === undefined;
}

async function digestsOf(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
): Promise<{ sha256: string; md5: string }> {
  const sha256 = createHash("sha256");
  const md5 = createHash("md5");
  const body = await requests.open(key, { offset: 0, length: undefined }, signal);
  if (body !== undefined && body !== "range unmet") {
    for await (const chunk of requests.chunks(body, signal)) {
      sha256.update(chunk);
      md5.update(chunk);
    }
  }
  return { sha256: sha256.digest("hex"), md5: md5.digest("hex") };
}
