import { GcOutcome, type GcServiceCollectRequest, type GcServiceCollectResponseSchema } from "@attestry/api/ingest";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { type Collected, collect } from "../gc/collect.ts";
import { pageOfUnused } from "../gc/page.ts";

const atATime = 10;

const outcomes: Record<Collected["outcome"], GcOutcome> = {
  deleted: GcOutcome.DELETED,
  kept: GcOutcome.KEPT,
  skipped: GcOutcome.SKIPPED,
  failed: GcOutcome.FAILED,
};

/** GcService.Collect: deletes a page of what no attestation refers to. A caller that has gone gets no more deleted. */
export async function collectUnused(
  context: Context,
  request: GcServiceCollectRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof GcServiceCollectResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const { blobs, nextPageToken } = await pageOfUnused(context.unusedBlobs, organizationId, request);
  const collected: Collected[] = [];
  for (let start = 0; start < blobs.length; start += atATime) {
    call.signal.throwIfAborted();
    collected.push(...(await Promise.all(blobs.slice(start, start + atATime).map((blob) => collect(context, blob)))));
  }
  return {
    blobs: blobs.map(({ digest, backendId }, n) => {
      const result = collected[n] ?? { outcome: "skipped" };
      return { digest, backendId, outcome: outcomes[result.outcome], error: "error" in result ? result.error : "" };
    }),
    nextPageToken,
  };
}
