import { type CasPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { WriteOutcome } from "../backends/backend.ts";
import { checkUpload } from "../callers/permissions.ts";
import { type Keeping, keepingOf } from "../retention/keeping.ts";
import type { Telemetry } from "../telemetry.ts";
import { childController } from "./abortable.ts";
import type { BlobQuery, BlobRef } from "./blob-ref.ts";
import type { Place, Proofs } from "./proofs.ts";
import type { StoredBlobs } from "./stored-blobs.ts";
import { UnsizedBody } from "./unsized-body.ts";

/** A smaller blob is here as soon as the answer whether it is there already, which the write tells as well. */
const askedForBytes = 1024 * 1024;

export interface StoreOptions {
  caller: CasPrincipal;
  /** Of an unknown size: what the body turns out to have. */
  blob: BlobQuery;
  body: AsyncIterable<Uint8Array>;
  /** Whether all bytes are here already, or the blob was asked for: then it is not looked for while they are written. */
  whole: boolean;
  signal: AbortSignal;
  /** Undefined: what comes of a write that breaks off is not kept, as of a blob of unknown size. */
  upload?: Upload | undefined;
  /** What the client calls its file; kept if this is what makes the blob visible. */
  fileName?: string | undefined;
}

export interface Stored {
  outcome: WriteOutcome;
  sizeBytes: number;
}

export interface Upload {
  /** The client's name for it; a lower-case UUID. */
  id: string;
  /** Where in the blob the body begins. */
  offset: number;
}

interface Asked<B extends BlobQuery> {
  place: Place;
  blob: B;
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
  { caller, blob, body, whole, signal, upload, fileName }: StoreOptions,
): Promise<Stored> {
  checkUpload(caller, blob);
  const place = await context.blobs.uploadPlace(caller, blob.hex);
  const { provider } = place.named;
  const { hex, sizeBytes } = blob;
  const keeping = keepingOf(caller);
  if (upload !== undefined && upload.offset > 0 && sizeBytes !== undefined) {
    const sized = { hex, sizeBytes };
    const outcome = await checkOffset(context, { place, blob: sized, keeping }, upload, signal);
    if (outcome === "existed") {
      context.telemetry.existed(provider);
      return { outcome, sizeBytes };
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
  const bounds = { mostBytes: caller.maxBytes, largeBytes: askedForBytes };
  const unsized = sizeBytes === undefined ? new UnsizedBody(body, bounds) : undefined;
  const options = { signal: controller.signal, resumable, keeping, fileName };
  const writing = place.backend
    .write(place.key, blob, unsized?.bytes() ?? body, options)
    .then(async (outcome): Promise<Stored> => {
      const written = { hex, sizeBytes: unsized?.sizeBytes ?? sizeBytes ?? 0 };
      // Proven in either case.
      await context.proofs.addWritten(place, written, signal);
      return { outcome, sizeBytes: written.sizeBytes };
    });
  try {
    const isLarge = unsized?.whenLarge ?? (sizeBytes !== undefined && sizeBytes > askedForBytes);
    const asked = { place, blob, keeping, mostBytes: caller.maxBytes };
    const existing = whole || isLarge === false ? never() : whenThere(context, asked, isLarge, controller.signal);
    const stored = await Promise.race([writing, existing]);
    if (stored.outcome === "existed") context.telemetry.existed(provider);
    else context.telemetry.stored(provider, stored.sizeBytes);
    return stored;
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
  { place, blob, keeping }: Asked<BlobRef>,
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

/**
 * Settles only if the blob is there, which is asked once it is known to be large, and the caller may have such a one. A fault
 * is not told: the write meets it too.
 */
async function whenThere(
  { proofs }: StoreContext,
  { place, blob, keeping, mostBytes }: Asked<BlobQuery> & { mostBytes: number },
  isLarge: Promise<void> | true,
  signal: AbortSignal,
): Promise<Stored> {
  await isLarge;
  const found = await proofs.find(place, blob, signal, keeping).catch(() => undefined);
  return found === undefined || found.sizeBytes > mostBytes
    ? never()
    : { outcome: "existed", sizeBytes: found.sizeBytes };
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
