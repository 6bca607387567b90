import type { ReadRequest } from "@attestry/api/bytestream";
import { DomainError, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { childController } from "../blobs/abortable.ts";
import { readBlob } from "../blobs/read-blob.ts";
import { parseReadName } from "../blobs/resource-name.ts";
import { compressed } from "../blobs/zstd.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/**
 * ByteStream.Read. What is compressed has no limit, by the API's rule: its offset counts uncompressed bytes. A client
 * that takes nothing for as long as one that writes may be silent is given up, so that it holds nothing of the store.
 */
export async function* read(
  context: Context,
  request: ReadRequest,
  handler: HandlerContext,
): AsyncGenerator<{ data: Uint8Array }, void, void> {
  const blob = parseReadName(request.resourceName);
  const offset = bytesOf("read_offset", request.readOffset);
  const limit = bytesOf("read_limit", request.readLimit);
  if (blob.compressor !== "identity" && limit > 0) throw noLimit(limit);
  const caller = await context.callers.of(principal(handler), "download", blob.instance);
  checkDigest(caller, blob.hex);
  const { controller, release } = childController(handler.signal);
  const { signal } = controller;
  const bytes = readBlob(context, { caller, blob, offset, limit, signal });
  // An offset past the end is refused by the first of the bytes.
  const sizeBytes = Math.max(0, blob.sizeBytes - offset);
  const { organization } = caller;
  const chunks = blob.compressor === "identity" ? bytes : compressed(bytes, { organization, sizeBytes, signal });
  const { idleTimeoutMs } = context.config;
  const giveUp = () => controller.abort(notTaken(idleTimeoutMs));
  let timer: NodeJS.Timeout | undefined;
  try {
    for await (const data of chunks) {
      timer = setTimeout(giveUp, idleTimeoutMs).unref();
      yield { data };
      clearTimeout(timer);
      signal.throwIfAborted();
    }
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** As ByteStream defines it: a negative offset is out of range, a negative limit is no argument. */
function bytesOf(field: "read_offset" | "read_limit", value: bigint): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  const code = field === "read_offset" ? "READ_OFFSET_OUT_OF_RANGE" : "REQUEST_INVALID";
  throw new DomainError(code, `${field} must be from 0 to 2^53 - 1, got ${value}`, {
    metadata: { expected: "0 to 2^53 - 1", actual: String(value) },
  });
}

function noLimit(limit: number): DomainError {
  return new DomainError("REQUEST_INVALID", `read_limit must be 0 for a compressed blob, got ${limit}`, {
    metadata: { expected: "0", actual: String(limit) },
  });
}

function notTaken(idleMs: number): DomainError {
  return new DomainError("DEADLINE_EXCEEDED", `the client took nothing for ${idleMs} ms; the read was broken off`);
}
