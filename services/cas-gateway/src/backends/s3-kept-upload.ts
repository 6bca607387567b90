import { StoreFault } from "./s3-errors.ts";
import { leastPart, mostParts, partSizeFor } from "./s3-parts.ts";
import type { S3Requests } from "./s3-requests.ts";
import type { BegunUpload, Part } from "./s3-uploads.ts";

export interface KeptUpload extends BegunUpload {
  /** Bytes of its parts. */
  committed: number;
}

interface KeptPart extends Part {
  number: number;
  sizeBytes: number;
}

/** What the store has of an upload of that many bytes that broke off. Undefined if it has none, or no more of it. */
export async function keptUpload(
  requests: S3Requests,
  dataKey: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<KeptUpload | undefined> {
  const ids = await requests.unfinished(dataKey, signal);
  let most: KeptUpload | undefined;
  for (const id of ids) {
    const kept = await keptParts(requests, { dataKey, id }, signal);
    if (kept === undefined) continue;
    const { parts, committed } = usableParts(kept, sizeBytes);
    if (most !== undefined && committed <= most.committed) continue;
    const checksum = parts.every(({ crc32 }) => crc32 !== undefined);
    most = { id, checksum, isAlone: ids.length === 1, parts, committed };
  }
  return most;
}

/** The first parts, up to a gap, or to one that leaves no way on: too small for its place, or too many would have to follow. */
function usableParts(kept: readonly KeptPart[], sizeBytes: number): { parts: KeptPart[]; committed: number } {
  const parts: KeptPart[] = [];
  let committed = 0;
  for (const part of kept) {
    const left = sizeBytes - committed - part.sizeBytes;
    if (part.number !== parts.length + 1 || left < 0 || (left > 0 && !mayGoOn(part, left, sizeBytes))) break;
    parts.push(part);
    committed += part.sizeBytes;
  }
  return { parts, committed };
}

function mayGoOn(part: KeptPart, left: number, sizeBytes: number): boolean {
  return part.sizeBytes >= leastPart && part.number + Math.ceil(left / partSizeFor(sizeBytes)) <= mostParts;
}

/** All parts of an upload that the store has; undefined if the upload is gone. */
async function keptParts(
  requests: S3Requests,
  { dataKey, id }: { dataKey: string; id: string },
  signal: AbortSignal,
): Promise<KeptPart[] | undefined> {
  const kept: KeptPart[] = [];
  for (let marker: number | undefined = 0; marker !== undefined; ) {
    const page = await partsPage(requests, { dataKey, id, marker }, signal);
    if (page === undefined) return undefined;
    kept.push(...page.parts);
    marker = page.next;
  }
  return kept;
}

/** The parts after a number; undefined if the upload is gone. */
async function partsPage(
  requests: S3Requests,
  { dataKey, id, marker }: { dataKey: string; id: string; marker: number },
  signal: AbortSignal,
): Promise<{ parts: KeptPart[]; next: number | undefined } | undefined> {
  const query = `part-number-marker=${marker}&uploadId=${encodeURIComponent(id)}`;
  try {
    const { body } = await requests.subresource({ method: "GET", key: dataKey, query }, signal);
    const parts = partsOf(body);
    return { parts, next: body.includes("<IsTruncated>true</IsTruncated>") ? parts.at(-1)?.number : undefined };
  } catch (fault) {
    if (fault instanceof StoreFault && fault.isUploadAbsent) return undefined;
    throw requests.told(fault);
  }
}

/** S3 API, ListParts. The minio client's reader of it leaves out the checksums, which completing needs. */
function partsOf(listing: string): KeptPart[] {
  return [...listing.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = ""]) => {
    const field = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(part)?.[1];
    const etag = field("ETag")?.replaceAll("&#34;", '"').replaceAll("&quot;", '"') ?? "";
    return {
      number: Number(field("PartNumber")),
      sizeBytes: Number(field("Size")),
      etag,
      crc32: field("ChecksumCRC32"),
    };
  });
}
