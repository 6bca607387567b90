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
  if (context.config.deletes === "false") {
    throw new DomainError(
      "DELETES_OFF",
      "this server deletes nothing: it is a restored copy that nobody has adopted, or runs with RETENTION_DELETES=false (docs/backup.md)",
    );
  }
  const { organizationId, tokenId } = apiPrincipal(call);
  const { blobs, nextPageToken } = await pageOfUnused(context.unusedBlobs, organizationId, request);
  const collected: MessageInitShape<typeof CollectedBlobSchema>[] = [];
  for (let start = 0; start < blobs.length; start += atATime) {
    call.signal.throwIfAborted();
    const some = blobs.slice(start, start + atATime);
    collected.push(
      ...(await Promise.all(some.map(async (blob) => message(blob, await collect(context, blob, `token ${tokenId}`))))),
    );
  }
  return { blobs: collected, nextPageToken };
}

function message({ digest, backendId }: BlobPlace, collected: Collected): MessageInitShape<typeof CollectedBlobSchema> {
  const error = collected.outcome === "failed" ? collected.error : "";
  return { digest, backendId, outcome: outcomes[collected.outcome], error };
}
