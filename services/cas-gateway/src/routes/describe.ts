import type { BlobServiceDescribeRequest, BlobServiceDescribeResponseSchema } from "@attestry/api/cas";
import { casPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { parseDigest } from "../blobs/blob-ref.ts";
import { spacesDescribed } from "../blobs/stored-blobs.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/** BlobService.Describe: of a downloader, wherever Read would find it; of others, in the token's own key space. */
export async function describe(
  context: Context,
  request: BlobServiceDescribeRequest,
  handler: HandlerContext,
): Promise<MessageInitShape<typeof BlobServiceDescribeResponseSchema>> {
  const caller = casPrincipal(handler);
  const hex = parseDigest(request.digest);
  checkDigest(caller, hex);
  const { value, named } = await context.blobs.describe(caller, hex, spacesDescribed(caller), handler.signal);
  return { sizeBytes: BigInt(value.sizeBytes), backendName: named.name, storedAt: timestampFromDate(value.storedAt) };
}
