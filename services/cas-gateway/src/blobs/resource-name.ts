import { DomainError, isUuid } from "@attestry/service-kit";
import { type BlobQuery, type BlobRef, isDigestHex, parseSize } from "./blob-ref.ts";
import { fileNameIn } from "./upload-metadata.ts";

// Resource names of the Remote Execution API v2, documented at ContentAddressableStorage in its remote_execution.proto.

/** How the bytes of a blob are on the wire. */
export type Compressor = "identity" | "zstd";

export interface ResourceName extends BlobRef {
  /** Names a backend of the caller; undefined: the caller's first. */
  instance: string | undefined;
  compressor: Compressor;
}

export interface UploadName extends ResourceName {
  /** Chosen by the client; lower case. */
  uploadId: string;
  /** Undefined: it has no name. */
  fileName: string | undefined;
  offsetsOmitted?: false;
}

/** A blob that is named by its digest, whatever its size. */
export interface DigestName extends BlobQuery {
  instance: undefined;
  compressor: "identity";
}

/** An upload that is named by digest and file. One that breaks off cannot be gone on with. */
export interface FileUploadName extends DigestName {
  uploadId: undefined;
  /** Undefined: it has no name. */
  fileName: string | undefined;
  /** Messages may leave their write_offset at 0. */
  offsetsOmitted: true;
}

export type ReadName = ResourceName | DigestName;
export type WriteName = UploadName | FileUploadName;

/** How the resource names of ByteStream are read. Both throw RESOURCE_NAME_INVALID. */
export interface ResourceNames {
  read(name: string): ReadName;
  write(name: string): WriteName;
}

/** Those of the Remote Execution API and no others. */
export const reapiNames: ResourceNames = { read: parseReadName, write: parseWriteName };

const readForm = "[{instance}/]blobs/{hash}/{size} or [{instance}/]compressed-blobs/zstd/{hash}/{size}";
const writeForm =
  "[{instance}/]uploads/{uuid}/blobs/{hash}/{size}[/{metadata}] or [{instance}/]uploads/{uuid}/compressed-blobs/zstd/{hash}/{size}[/{metadata}]";
const instancePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** What may stand before the hash besides SHA-256: the digest functions of the API, in lower case. */
const otherFunctions = new Set(["sha1", "md5", "vso", "sha384", "sha512", "murmur3", "sha256tree", "blake3"]);

const anyKeyword = new Set(["blobs", "uploads", "compressed-blobs"]);

export function isInstanceName(text: string): boolean {
  return instancePattern.test(text);
}

/** What `[{instance}/](blobs|compressed-blobs/zstd)/{hash}/{size}` names. Throws RESOURCE_NAME_INVALID, which names the segment at fault. */
export function parseReadName(name: string): ResourceName {
  const { instance, rest } = splitAt(name, ["blobs", "compressed-blobs"], readForm);
  const { blob, compressor, trailing } = parseBlobSegments(name, rest, readForm);
  if (trailing[0] !== undefined) throw invalid(name, readForm, trailing[0], "nothing after the size");
  return { instance, compressor, ...blob };
}

/**
 * What `[{instance}/]uploads/{uuid}/(blobs|compressed-blobs/zstd)/{hash}/{size}[/{metadata}]` names, and the file name in
 * its metadata. Throws RESOURCE_NAME_INVALID, which names the segment at fault.
 */
export function parseWriteName(name: string): UploadName {
  const { instance, rest } = splitAt(name, ["uploads"], writeForm);
  const [, uploadId, ...blobSegments] = rest;
  if (uploadId === undefined || !isUuid(uploadId)) throw invalid(name, writeForm, uploadId, "a UUID after uploads");
  const { blob, compressor, trailing } = parseBlobSegments(name, blobSegments, writeForm);
  return { instance, compressor, uploadId: uploadId.toLowerCase(), fileName: fileNameIn(trailing), ...blob };
}

/**
 * What comes before the keyword is the instance name; one leading slash counts as an empty one. What follows begins
 * with the keyword. Keywords cannot be instance names, by the API's rule.
 */
function splitAt(
  name: string,
  keywords: readonly string[],
  form: string,
): { instance: string | undefined; rest: string[] } {
  const segments = name.split("/");
  const at = segments.findIndex((segment) => anyKeyword.has(segment));
  const keyword = segments[at];
  if (keyword === undefined || !keywords.includes(keyword)) {
    const expected = `${keywords.join(" or ")} as the first or second segment`;
    throw invalid(name, form, keyword ?? segments[0], expected);
  }
  if (at > 1) throw invalid(name, form, segments[1], `${keyword} right after the instance name`);
  const instance = segments[at - 1] ?? "";
  if (instance !== "" && !isInstanceName(instance)) throw invalid(name, form, instance, "the name of a backend");
  return { instance: instance === "" ? undefined : instance, rest: segments.slice(at) };
}

interface BlobSegments {
  blob: BlobRef;
  compressor: Compressor;
  trailing: string[];
}

function parseBlobSegments(name: string, segments: string[], form: string): BlobSegments {
  const [keyword, ...afterKeyword] = segments;
  if (keyword === "blobs") return { compressor: "identity", ...parseDigestSegments(name, afterKeyword, form) };
  if (keyword !== "compressed-blobs") throw invalid(name, form, keyword, "blobs or compressed-blobs");
  const [compressor, ...digestSegments] = afterKeyword;
  if (compressor !== "zstd") throw invalid(name, form, compressor, "zstd: no other compressor is served");
  return { compressor, ...parseDigestSegments(name, digestSegments, form) };
}

function parseDigestSegments(name: string, segments: string[], form: string): Omit<BlobSegments, "compressor"> {
  // The API wants the digest function left out for SHA-256, but there are clients that write it.
  const [hex = "", sizeText = "", ...trailing] = segments[0] === "sha256" ? segments.slice(1) : segments;
  if (otherFunctions.has(hex)) throw invalid(name, form, hex, "a SHA-256: no other digest function is served");
  if (!isDigestHex(hex)) throw invalid(name, form, hex, "64 lower-case hex digits");
  const sizeBytes = parseSize(sizeText);
  if (sizeBytes === undefined) throw invalid(name, form, sizeText, "a size in bytes, decimal");
  return { blob: { hex, sizeBytes }, trailing };
}

function invalid(name: string, form: string, segment: string | undefined, expected: string): DomainError {
  const came = segment === undefined || segment === "" ? "nothing" : JSON.stringify(segment.slice(0, 100));
  return new DomainError("RESOURCE_NAME_INVALID", `a resource name is ${form}: expected ${expected}, got ${came}`, {
    metadata: { resource_name: name.slice(0, 300), segment: (segment ?? "").slice(0, 100), expected },
  });
}
