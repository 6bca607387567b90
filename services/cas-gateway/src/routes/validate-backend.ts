import { casPrincipal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import type { Backend } from "../backends/backend.ts";
import { uploadBackend } from "../blobs/stored-blobs.ts";
import { validateBackend as validate } from "../blobs/validate-backend.ts";
import type { Context } from "../context.ts";
import { keepingOf } from "../retention/keeping.ts";

/** BlobService.ValidateBackend: of the token's first backend. A backend that does not work is an answer, not an error. */
export async function validateBackend(
  context: Context,
  handler: HandlerContext,
): Promise<{ valid: boolean; error: string; notes: string[] }> {
  const caller = casPrincipal(handler);
  const opened: Backend[] = [];
  async function open(): Promise<Backend> {
    // What is found is told of this backend, by its name.
    const backend = await context.backends.get(caller.organization, uploadBackend(caller));
    opened.push(backend);
    return backend;
  }
  const error = await validate(open, handler.signal, keepingOf(caller));
  // Only now: what a store does not know is found out by trying.
  return { valid: error === undefined, error: error ?? "", notes: opened.flatMap(({ notes }) => [...notes]) };
}
