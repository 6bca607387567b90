import {
  DigestFunction_Value,
  type GetCapabilitiesRequest,
  type ServerCapabilitiesSchema,
  SymlinkAbsolutePathStrategy_Value,
} from "@attestry/api/reapi";
import { principal, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { maxBatchBytes, parseInstance, supportedCompressors } from "../blobs/reapi.ts";
import type { Context } from "../context.ts";

/** Capabilities.GetCapabilities: a CAS for SHA-256, with zstd, without action cache or execution. Throws RESOURCE_NAME_INVALID. */
export async function getCapabilities(
  context: Context,
  request: GetCapabilitiesRequest,
  handler: HandlerContext,
): Promise<MessageInitShape<typeof ServerCapabilitiesSchema>> {
  return {
    cacheCapabilities: {
      digestFunctions: [DigestFunction_Value.SHA256],
      actionCacheUpdateCapabilities: { updateEnabled: false },
      // Nothing is looked into.
      symlinkAbsolutePathStrategy: SymlinkAbsolutePathStrategy_Value.ALLOWED,
      supportedCompressors,
      supportedBatchUpdateCompressors: supportedCompressors,
      maxBatchTotalSizeBytes: BigInt(maxBatchBytes),
      maxCasBlobSizeBytes: BigInt(await mostBytes(context, request, handler)),
    },
    lowApiVersion: { major: 2, minor: 0 },
    highApiVersion: { major: 2, minor: 3 },
  };
}

/** What an upload of the caller may have. An organization that keeps all inline has no limit to tell, which is 0: each of its uploads is refused as such. */
async function mostBytes(context: Context, request: GetCapabilitiesRequest, handler: HandlerContext): Promise<number> {
  const uploading = context.callers.of(principal(handler), "upload", parseInstance(request.instanceName));
  return uploading.then(
    ({ maxBytes }) => maxBytes,
    (error: unknown) => {
      if (reasonOf(error) === "BACKEND_INLINE") return 0;
      throw error;
    },
  );
}
