import { DomainError, isUuid } from "@attestry/service-kit";
import { type BlobRef, isDigestHex, parseSize } from "./blob-ref.ts";

// Resource names of the Remote Execution API v2, documented at ContentAddressableStorage in its remote_execution.proto.

export interface ResourceName extends BlobRef {
  /** Names a backend of the caller; undefined: the caller's first. */
  instance: string | undefined;
}

export interface UploadName extends ResourceName {
  /** Chosen by the client; lower case. */
  uploadId: string;
}

const readForm = "[{instance}/]blobs/{hash}/{size}";
const writeForm = "[{instance}/]uploads/{uuid}/blobs/{hash}/{size}[/{metadata}]";
const instancePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** What may stand before the hash besides SHA-256: the digest functions of the API, in lower case. */
const otherFunctions = new Set(["sha1", "md5", "vso", "sha384", "sha512", "murmur3", "sha256tree", "blake3"]);

export function isInstanceName(text: string): boolean {
  return instancePattern.test(text);
}

/** What `[{instance}/]blobs/{hash}/{size}` names. Throws RESOURCE_NAME_INVALID, which names the segment at fault. */
export function parseReadName(name: string): ResourceName {
  const { instance, rest } = splitAt(name, "blobs", readForm);
  const { blob, trailing } = parseBlobSegments(name, rest, readForm);
  if (trailing[0] !== undefined) throw invalid(name, readForm, trailing[0], "nothing after the size");
  return { instance, ...blob };
}

/** What `[{instance}/]uploads/{uuid}/blobs/{hash}/{size}[/{metadata}]` names. Throws RESOURCE_NAME_INVALID. */
export function parseWriteName(name: string): UploadName {
  const { instance, rest } = splitAt(name, "uploads", writeForm);
  const [uploadId, ...blobSegments] = rest;
  if (uploadId === undefined || !isUuid(uploadId)) throw invalid(name, writeForm, uploadId, "a UUID after uploads");
  const { blob } = parseBlobSegments(name, blobSegments, writeForm);
  return { instance, uploadId: uploadId.toLowerCase(), ...blob };
}

/** What comes before the keyword is the instance name; one leading slash counts as an empty one. */
function splitAt(
  name: string,
  keyword: "blobs" | "uploads",
  form: string,
): { instance: string | undefined; rest: string[] } {
  const segments = name.split("/");
  const at = segments.findIndex((segment) => segment === keyword || segment === "compressed-blobs");
  if (at === -1) throw invalid(name, form, segments[0], `${keyword} as the first or second segment`);
  if (at > 1) throw invalid(name, form, segments[1], `${keyword} right after the instance name`);
  const instance = segments[at - 1] ?? "";
  if (instance !== "" && !isInstanceName(instance)) throw invalid(name, form, instance, "the name of a backend");
  // The keyword blobs stays with what follows an upload's UUID, so that both kinds go on in one place.
  return { instance: instance === "" ? undefined : instance, rest: segments.slice(keyword === "blobs" ? at : at + 1) };
}

function parseBlobSegments(name: string, segments: string[], form: string): { blob: BlobRef; trailing: string[] } {
  const [keyword, ...afterKeyword] = segments;
  if (keyword === "compressed-blobs") throw invalid(name, form, keyword, "blobs: compressed blobs are not served");
  if (keyword !== "blobs") throw invalid(name, form, keyword, "blobs");
  // The API wants the digest function left out for SHA-256, but there are clients that write it.
  const [hex = "", sizeText = "", ...trailing] = afterKeyword[0] === "sha256" ? afterKeyword.slice(1) : afterKeyword;
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
