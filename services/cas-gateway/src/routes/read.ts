import type { ReadRequest } from "@attestry/api/bytestream";
import { DomainError, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { readBlob } from "../blobs/read-blob.ts";
import { parseReadName } from "../blobs/resource-name.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/** ByteStream.Read. */
export async function* read(
  context: Context,
  request: ReadRequest,
  handler: HandlerContext,
): AsyncGenerator<{ data: Uint8Array }, void, void> {
  const { signal } = handler;
  const name = parseReadName(request.resourceName);
  const offset = bytesOf("read_offset", request.readOffset);
  const limit = bytesOf("read_limit", request.readLimit);
  const caller = await context.callers.of(principal(handler), "download", name.instance);
  checkDigest(caller, name.hex);
  for await (const data of readBlob(context, { caller, blob: name, offset, limit, signal })) yield { data };
}

/** As ByteStream defines it: a negative offset is out of range, a negative limit is no argument. */
function bytesOf(field: "read_offset" | "read_limit", value: bigint): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  const code = field === "read_offset" ? "READ_OFFSET_OUT_OF_RANGE" : "REQUEST_INVALID";
  throw new DomainError(code, `${field} must be from 0 to 2^53 - 1, got ${value}`, {
    metadata: { expected: "0 to 2^53 - 1", actual: String(value) },
  });
}
