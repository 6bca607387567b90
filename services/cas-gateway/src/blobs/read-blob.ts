import { createHash } from "node:crypto";
import { type CasPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { OpenBlob } from "../backends/backend.ts";
import type { Telemetry } from "../telemetry.ts";
import { type BlobRef, digestOf } from "./blob-ref.ts";
import { type Found, type StoredBlobs, spacesOf } from "./stored-blobs.ts";
import type { Suspects } from "./suspects.ts";

export interface ReadOptions {
  caller: CasPrincipal;
  blob: BlobRef;
  /** First byte. */
  offset: number;
  /** At most that many bytes; 0: to the end. */
  limit: number;
  signal: AbortSignal;
}

interface ReadContext {
  blobs: StoredBlobs;
  suspects: Suspects;
  telemetry: Telemetry;
}

/**
 * The bytes of a blob, or of a part of it. A whole blob is hashed as it passes, and its last chunk is held back until
 * the digest is proven: who got all bytes got the right ones. If what a backend holds turns out corrupt before any of
 * it was passed on, the next one that has the blob is read; after that, the next read finds that one.
 *
 * Throws READ_OFFSET_OUT_OF_RANGE, BLOB_NOT_FOUND, BLOB_CORRUPT, BACKEND_UNAVAILABLE, BACKEND_MISCONFIGURED,
 * SECRET_INVALID.
 */
export async function* readBlob(
  context: ReadContext,
  { caller, blob, offset, limit, signal }: ReadOptions,
): AsyncGenerator<Uint8Array, void, void> {
  if (offset > blob.sizeBytes) throw outOfRange(offset, blob.sizeBytes);
  const length = Math.min(limit === 0 ? Number.POSITIVE_INFINITY : limit, blob.sizeBytes - offset);
  if (length === 0 && blob.sizeBytes > 0) {
    await context.blobs.describe(caller, blob.hex, spacesOf(caller), signal);
    return;
  }
  const whole = length === blob.sizeBytes;
  const range = whole ? { offset: 0, length: undefined } : { offset, length };
  const tried: Found<OpenBlob>[] = [];
  let fault: DomainError | undefined;
  do {
    const found = await context.blobs.open(caller, blob, range, signal, tried).catch((error: unknown) => {
      throw reasonOf(error) === "BLOB_NOT_FOUND" ? (fault ?? error) : error;
    });
    tried.push(found);
    const chunks = whole ? proven(context, found, caller.organization, blob, signal) : found.value.chunks;
    fault = yield* closedAfter(found.value, chunks, signal);
    if (fault === undefined) context.telemetry.read(found.named.provider, length);
  } while (fault !== undefined);
}

async function* closedAfter(
  opened: OpenBlob,
  chunks: AsyncIterable<Uint8Array, DomainError | undefined>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, DomainError | undefined, void> {
  // Whoever goes away in the middle may just stop pulling: then nothing after a yield runs any more.
  const onAbort = () => void opened.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return yield* chunks;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await opened.close();
  }
}

/** Returns BLOB_CORRUPT if nothing was passed on, and throws it otherwise. */
async function* proven(
  context: ReadContext,
  found: Found<OpenBlob>,
  organization: string,
  blob: BlobRef,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, DomainError | undefined, void> {
  const hash = createHash("sha256");
  let held: Uint8Array | undefined;
  let passedOn = false;
  for await (const chunk of found.value.chunks) {
    hash.update(chunk);
    if (held !== undefined) {
      passedOn = true;
      yield held;
    }
    held = chunk;
  }
  const hex = hash.digest("hex");
  if (hex !== blob.hex) {
    const { backend, key, named } = found;
    context.telemetry.corrupt(named.provider);
    const isAside = await backend.setAside(key, blob, signal).catch(() => false);
    if (!isAside) context.suspects.add(organization, named, key);
    const fault = corrupt(blob.hex, hex, named.name);
    if (passedOn) throw fault;
    return fault;
  }
  if (held !== undefined) yield held;
  return undefined;
}

function outOfRange(offset: number, sizeBytes: number): DomainError {
  return new DomainError(
    "READ_OFFSET_OUT_OF_RANGE",
    `read_offset must be from 0 to the blob's size ${sizeBytes}, got ${offset}`,
    {
      metadata: { expected: `0 to ${sizeBytes}`, actual: String(offset) },
    },
  );
}

function corrupt(expected: string, actual: string, backend: string): DomainError {
  const message = `what the backend ${backend} holds under ${digestOf(expected)} is ${digestOf(actual)}; upload the blob again to repair it`;
  return new DomainError("BLOB_CORRUPT", message, {
    metadata: { expected: digestOf(expected), actual: digestOf(actual), backend },
  });
}
