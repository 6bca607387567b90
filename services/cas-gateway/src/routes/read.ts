import type { ReadRequest } from "@attestry/api/bytestream";
import { type CasPrincipal, DomainError, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { childController } from "../blobs/abortable.ts";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import { readBlob } from "../blobs/read-blob.ts";
import { spacesOf } from "../blobs/stored-blobs.ts";
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
  const name = context.names.read(request.resourceName);
  const offset = bytesOf("read_offset", request.readOffset);
  const limit = bytesOf("read_limit", request.readLimit);
  if (name.compressor !== "identity" && limit > 0) throw noLimit(limit);
  const caller = await context.callers.of(principal(handler), "download", name.instance);
  checkDigest(caller, name.hex);
  const isPart = offset > 0 || limit > 0;
  const blob = name.sizeBytes === undefined && isPart ? await sized(context, caller, name, handler.signal) : name;
  const { controller, release } = childController(handler.signal);
  const { signal } = controller;
  const bytes = readBlob(context, { caller, blob, offset, limit, signal });
  const chunks = name.compressor === "identity" ? bytes : packed(bytes, { caller, name, offset, signal });
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

/** What a part is of must be known with its size. */
async function sized(
  context: Context,
  caller: CasPrincipal,
  { hex }: BlobQuery,
  signal: AbortSignal,
): Promise<BlobRef> {
  const { value } = await context.blobs.describe(caller, hex, spacesOf(caller), signal);
  return { hex, sizeBytes: value.sizeBytes };
}

function packed(
  bytes: AsyncIterable<Uint8Array>,
  { caller, name, offset, signal }: { caller: CasPrincipal; name: BlobRef; offset: number; signal: AbortSignal },
): AsyncIterable<Uint8Array> {
  // An offset past the end is refused by the first of the bytes.
  const sizeBytes = Math.max(0, name.sizeBytes - offset);
  return compressed(bytes, { organization: caller.organization, sizeBytes, signal });
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
