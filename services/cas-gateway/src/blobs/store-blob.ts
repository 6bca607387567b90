import { type CasPrincipal, DomainError } from "@attestry/service-kit";
import { checkUpload } from "../callers/permissions.ts";
import type { Telemetry } from "../telemetry.ts";
import { childController, itemsUntilAborted } from "./abortable.ts";
import type { BlobRef } from "./blob-ref.ts";
import { blobKey } from "./key.ts";
import type { StoredBlobs } from "./stored-blobs.ts";
import type { Suspects } from "./suspects.ts";

export interface StoreOptions {
  caller: CasPrincipal;
  blob: BlobRef;
  body: AsyncIterable<Uint8Array>;
  /** Whether all bytes are here already: then it is cheaper to write them than to ask for the blob first. */
  whole: boolean;
  signal: AbortSignal;
}

/**
 * Stores a blob in the caller's first backend and key space. Resolves when it is durable; at once if it is there
 * already with the right size, while bytes are still on their way, too.
 *
 * Throws BLOB_TOO_LARGE, DIGEST_NOT_ALLOWED, SIZE_MISMATCH, DIGEST_MISMATCH, BACKEND_UNAVAILABLE, BACKEND_FULL,
 * BACKEND_MISCONFIGURED, SECRET_INVALID, and what the body throws; then nothing is visible.
 */
export async function storeBlob(
  context: { blobs: StoredBlobs; suspects: Suspects; telemetry: Telemetry },
  { caller, blob, body, whole, signal }: StoreOptions,
): Promise<void> {
  checkUpload(caller, blob);
  const { named, backend } = await context.blobs.uploadBackend(caller);
  const key = blobKey(caller.space, blob.hex);
  const { controller, release } = childController(signal);
  const source = itemsUntilAborted(body, controller.signal);
  const writing = backend.write(key, blob, source, controller.signal).then(() => "stored" as const);
  try {
    const existed = whole ? never() : whenThere(context.blobs, caller, blob, controller.signal);
    const outcome = await Promise.race([writing, existed]);
    if (outcome === "existed") return context.telemetry.existed(named.provider);
    context.suspects.clear(caller.organization, named, key);
    context.telemetry.stored(named.provider, blob.sizeBytes);
  } finally {
    // Ends what is still under way, and waits until nothing of it is left.
    controller.abort(new DomainError("CANCELLED", "the blob is there already"));
    await writing.catch(() => undefined);
    release();
  }
}

/** Settles only if the blob is there. A fault is not told: the write meets it too. */
async function whenThere(
  blobs: StoredBlobs,
  caller: CasPrincipal,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<"existed"> {
  const isThere = await blobs.isStored(caller, blob, signal).catch(() => false);
  return isThere ? "existed" : never();
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
