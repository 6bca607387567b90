import { type CasPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { WriteOutcome } from "../backends/backend.ts";
import { checkUpload } from "../callers/permissions.ts";
import { type Keeping, keepingOf } from "../retention/keeping.ts";
import type { Telemetry } from "../telemetry.ts";
import { childController } from "./abortable.ts";
import type { BlobRef } from "./blob-ref.ts";
import type { Place, Proofs } from "./proofs.ts";
import type { StoredBlobs } from "./stored-blobs.ts";

/** A smaller blob is here as soon as the answer whether it is there already, which the write tells as well. */
const askedForBytes = 1024 * 1024;

export interface StoreOptions {
  caller: CasPrincipal;
  blob: BlobRef;
  body: AsyncIterable<Uint8Array>;
  /** Whether all bytes are here already, or the blob was asked for: then it is not looked for while they are written. */
  whole: boolean;
  signal: AbortSignal;
  /** Undefined: what comes of a write that breaks off is not kept. */
  upload?: Upload | undefined;
}

export interface Upload {
  /** The client's name for it; a lower-case UUID. */
  id: string;
  /** Where in the blob the body begins. */
  offset: number;
}

interface Asked {
  place: Place;
  blob: BlobRef;
  keeping: Keeping | undefined;
}

interface StoreContext {
  blobs: Pick<StoredBlobs, "uploadPlace">;
  proofs: Proofs;
  telemetry: Telemetry;
}

/**
 * Stores a blob in the caller's first backend and key space. Resolves when it is durable, with `existed` if it was there
 * already and is proven to be the blob; a large one while bytes are still on their way, which then are not needed. What came of an upload that broke off is kept
 * for `upload`, unless it broke the rules.
 *
 * Throws BLOB_TOO_LARGE, DIGEST_NOT_ALLOWED, SIZE_MISMATCH, DIGEST_MISMATCH, WRITE_OFFSET_INVALID, BACKEND_UNAVAILABLE,
 * BACKEND_FULL, BACKEND_MISCONFIGURED, SECRET_INVALID, and what the body throws; then nothing is visible.
 */
export async function storeBlob(
  context: StoreContext,
  { caller, blob, body, whole, signal, upload }: StoreOptions,
): Promise<WriteOutcome> {
  checkUpload(caller, blob);
  const place = await context.blobs.uploadPlace(caller, blob.hex);
  const { provider } = place.named;
  const asked = { place, blob, keeping: keepingOf(caller) };
  if (upload !== undefined && upload.offset > 0) {
    const outcome = await checkOffset(context, asked, upload, signal);
    if (outcome === "existed") {
      context.telemetry.existed(provider);
      return outcome;
    }
    context.telemetry.resumed(provider);
  }
  const { controller, release } = childController(signal);
  const isThere = new DomainError("CANCELLED", "the blob is there already");
  // One message is sent again as easily as it is gone on with.
  const isResumable = upload !== undefined && (!whole || upload.offset > 0);
  const resumable = isResumable
    ? {
        uploadId: upload.id,
        offset: upload.offset,
        keepAfter: (fault: unknown) => fault !== isThere && !breaksRules(fault),
      }
    : undefined;
  const writing = place.backend
    .write(place.key, blob, body, { signal: controller.signal, resumable, keeping: asked.keeping })
    .then(async (outcome) => {
      // Proven in either case.
      await context.proofs.addWritten(place, blob, signal);
      return outcome;
    });
  try {
    const isAsked = !whole && blob.sizeBytes > askedForBytes;
    const existing = isAsked ? whenThere(context, asked, controller.signal) : never();
    const outcome = await Promise.race([writing, existing]);
    if (outcome === "existed") context.telemetry.existed(provider);
    else context.telemetry.stored(provider, blob.sizeBytes);
    return outcome;
  } finally {
    // Ends what is still under way, and waits until nothing of it is left.
    controller.abort(isThere);
    await writing.catch(() => undefined);
    release();
  }
}

/** Resolves if the body may be written, or need not be. Throws WRITE_OFFSET_INVALID. */
async function checkOffset(
  { proofs }: StoreContext,
  { place, blob, keeping }: Asked,
  upload: Upload,
  signal: AbortSignal,
): Promise<WriteOutcome | undefined> {
  const committed = await place.backend.committed(place.key, blob, upload.id, signal);
  if (committed === upload.offset) return undefined;
  // The answer of an upload that was finished may have been lost, and with the blob there is nothing to go on with.
  if (await proofs.isThere(place, blob, signal, keeping)) return "existed";
  throw new DomainError(
    "WRITE_OFFSET_INVALID",
    `expected write_offset ${committed}, up to which the upload is kept, or 0 to begin anew; got ${upload.offset}`,
    { metadata: { expected: String(committed), actual: String(upload.offset) } },
  );
}

/** Faults that show that what came cannot become the blob, or that the client does not know what it sends. */
function breaksRules(fault: unknown): boolean {
  const reason = reasonOf(fault);
  return reason !== undefined && ruleBreaks.has(reason);
}

const ruleBreaks = new Set<string>([
  "SIZE_MISMATCH",
  "DIGEST_MISMATCH",
  "WRITE_OFFSET_INVALID",
  "RESOURCE_NAME_INVALID",
  "REQUEST_MALFORMED",
  "MESSAGE_TOO_LARGE",
]);

/** Settles only if the blob is there. A fault is not told: the write meets it too. */
async function whenThere(
  { proofs }: StoreContext,
  { place, blob, keeping }: Asked,
  signal: AbortSignal,
): Promise<WriteOutcome> {
  const isThere = await proofs.isThere(place, blob, signal, keeping).catch(() => false);
  return isThere ? "existed" : never();
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
