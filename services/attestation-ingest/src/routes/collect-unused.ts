import {
  type CollectedBlobSchema,
  GcOutcome,
  type GcServiceCollectRequest,
  type GcServiceCollectResponseSchema,
} from "@attestry/api/ingest";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import type { BlobPlace } from "../db/unused-blobs.ts";
import { type Collected, collectAll } from "../gc/collect.ts";
import { pageOfUnused } from "../gc/page.ts";

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
  if (!context.config.deletes) {
    throw new DomainError(
      "DELETES_OFF",
      "this server deletes nothing: it is a restored copy that nobody has adopted, or runs with RETENTION_DELETES=false (docs/backup.md)",
    );
  }
  const { organizationId, tokenId } = apiPrincipal(call);
  const { blobs, nextPageToken } = await pageOfUnused(context.unusedBlobs, organizationId, request);
  const all = await collectAll(context, blobs, `token ${tokenId}`, call.signal);
  call.signal.throwIfAborted();
  return { blobs: all.map(({ place, collected }) => message(place, collected)), nextPageToken };
}

function message({ digest, backendId }: BlobPlace, collected: Collected): MessageInitShape<typeof CollectedBlobSchema> {
  const error = collected.outcome === "failed" ? collected.error : "";
  return { digest, backendId, outcome: outcomes[collected.outcome], error };
}
