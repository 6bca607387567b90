import { casPrincipal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { validateBackend as validate } from "../blobs/validate-backend.ts";
import type { Context } from "../context.ts";

/** BlobService.ValidateBackend: of the token's first backend. A backend that does not work is an answer, not an error. */
export async function validateBackend(
  context: Context,
  handler: HandlerContext,
): Promise<{ valid: boolean; error: string }> {
  const caller = casPrincipal(handler);
  const error = await validate(async () => (await context.blobs.uploadBackend(caller)).backend, handler.signal);
  return { valid: error === undefined, error: error ?? "" };
}
