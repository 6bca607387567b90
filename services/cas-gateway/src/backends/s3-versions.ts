import { backendMisconfigured } from "./backend.ts";
import { StoreFault } from "./s3-errors.ts";
import { headOf, type ObjectHead } from "./s3-head.ts";
import type { S3Requests } from "./s3-requests.ts";

/** What a bucket with versioning keeps of a key: an object, or a marker that what lies beneath was deleted. */
export interface ObjectVersion {
  id: string;
  isMarker: boolean;
  storedAt: Date;
}

const pageKeys = 1_000;

/** The versions of exactly this key, the newest first (S3 API, ListObjectVersions); of those beyond a thousand the newest. */
export async function versionsOf(
  requests: S3Requests,
  { prefix, key }: { prefix: string; key: string },
  signal: AbortSignal,
): Promise<ObjectVersion[]> {
  const name = prefix + key;
  const query = `max-keys=${pageKeys}&prefix=${encodeURIComponent(name)}&versions`;
  const { body } = await requests.subresource({ method: "GET", query }, signal).catch((fault: unknown) => {
    throw requests.told(fault);
  });
  const versions: ObjectVersion[] = [];
  for (const [, kind, text = ""] of body.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)) {
    const field = (of: string) => new RegExp(`<${of}>([^<]*)</${of}>`).exec(text)?.[1] ?? "";
    if (field("Key") !== name) continue;
    // All else here rests on this order.
    if ((field("IsLatest") === "true") !== (versions.length === 0))
      throw backendMisconfigured("the object store does not list the newest version of an object first", body);
    const storedAt = new Date(field("LastModified"));
    versions.push({ id: field("VersionId"), isMarker: kind === "DeleteMarker", storedAt });
  }
  return versions;
}

/** Undefined if the version is not there. */
export async function headVersion(
  requests: S3Requests,
  key: string,
  id: string,
  signal: AbortSignal,
): Promise<ObjectHead | undefined> {
  try {
    const query = `versionId=${encodeURIComponent(id)}`;
    return headOf((await requests.subresource({ method: "HEAD", key, query }, signal)).headers);
  } catch (fault) {
    if (isGone(fault)) return undefined;
    throw requests.told(fault);
  }
}

/**
 * Puts a marker over whatever is there, in one request that is never repeated. Returns the marker's id; undefined if the store
 * does not tell.
 */
export async function putMarker(requests: S3Requests, key: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const sent = { method: "DELETE", key, query: "" } as const;
    const { headers } = await requests.subresource(sent, signal, { once: true });
    const id = headers["x-amz-version-id"];
    return typeof id === "string" ? id : undefined;
  } catch (fault) {
    throw requests.told(fault);
  }
}

/** For good. Removing what is not there is no error. */
export async function removeVersion(requests: S3Requests, key: string, id: string, signal: AbortSignal): Promise<void> {
  try {
    await requests.subresource({ method: "DELETE", key, query: `versionId=${encodeURIComponent(id)}` }, signal);
  } catch (fault) {
    if (!isGone(fault)) throw requests.told(fault);
  }
}

function isGone(fault: unknown): boolean {
  return fault instanceof StoreFault && (fault.isAbsent || fault.code === "NoSuchVersion");
}
