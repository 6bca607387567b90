import { DigestFunction_Value, type ServerCapabilitiesSchema } from "@attestry/api/reapi";
import { principal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { maxBatchBytes, supportedCompressors } from "../blobs/reapi.ts";

/** Capabilities.GetCapabilities: a CAS for SHA-256, with zstd, without action cache or execution. */
export function getCapabilities(handler: HandlerContext): MessageInitShape<typeof ServerCapabilitiesSchema> {
  const caller = principal(handler);
  return {
    cacheCapabilities: {
      digestFunctions: [DigestFunction_Value.SHA256],
      actionCacheUpdateCapabilities: { updateEnabled: false },
      supportedCompressors,
      supportedBatchUpdateCompressors: supportedCompressors,
      maxBatchTotalSizeBytes: BigInt(maxBatchBytes),
      // 0 says that no limit is told: the one of an API token's organization depends on the backend.
      maxCasBlobSizeBytes: BigInt(caller.kind === "cas" ? caller.maxBytes : 0),
    },
    lowApiVersion: { major: 2, minor: 0 },
    highApiVersion: { major: 2, minor: 3 },
  };
}
