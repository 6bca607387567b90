import type { GcServiceListRequest, GcServiceListResponseSchema } from "@attestry/api/ingest";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { pageOfUnused } from "../gc/page.ts";

/** GcService.List: what Collect would look at. */
export async function listUnused(
  context: Context,
  request: GcServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof GcServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const { blobs, nextPageToken } = await pageOfUnused(context.unusedBlobs, organizationId, request);
  return {
    blobs: blobs.map(({ digest, backendId, touched, referred }) => ({
      digest,
      backendId,
      touchedAt: timestampFromDate(touched),
      referred,
    })),
    nextPageToken,
  };
}
