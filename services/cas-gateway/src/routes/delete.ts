import type { BlobServiceDeleteRequest } from "@attestry/api/cas";
import { casPrincipal, DomainError, parseTime } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { childController } from "../blobs/abortable.ts";
import { parseDigest } from "../blobs/blob-ref.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/**
 * BlobService.Delete: in the token's first backend and own key space. Nothing is sent to the store once `not_after`
 * has passed, and what is under way then is broken off: whoever holds the lease that ends then must be able to rely on it.
 */
export async function deleteBlob(
  context: Context,
  request: BlobServiceDeleteRequest,
  handler: HandlerContext,
): Promise<Record<string, never>> {
  const caller = casPrincipal(handler);
  const hex = parseDigest(request.digest);
  checkDigest(caller, hex);
  if (request.notAfter === undefined)
    throw new DomainError("REQUEST_INVALID", "not_after must be given: until when the blob may be deleted");
  const notAfter = new Date(parseTime(request.notAfter, "not_after"));
  const leftMs = notAfter.getTime() - Date.now();
  if (!(leftMs > 0)) throw tooLate(notAfter);
  const place = await context.blobs.uploadPlace(caller, hex);
  const { controller, release } = childController(handler.signal, {
    ms: Math.min(leftMs, longestMs),
    reason: () => tooLate(notAfter),
  });
  try {
    context.proofs.forget(place);
    await place.backend.delete(place.key, controller.signal);
  } finally {
    release();
  }
  context.telemetry.deleted(place.named.provider);
  return {};
}

/** A call never needs longer; timers hold no more than 2^31 ms. */
const longestMs = 60_000;

function tooLate(notAfter: Date): DomainError {
  return new DomainError(
    "DELETE_TOO_LATE",
    `the blob was to be deleted until ${notAfter.toISOString()}, which has passed`,
    {
      metadata: { not_after: notAfter.toISOString() },
    },
  );
}
