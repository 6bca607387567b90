import type {
  ReferenceServiceListBundlesRequest,
  ReferenceServiceListBundlesResponseSchema,
} from "@attestry/api/ingest";
import { parseDigest } from "@attestry/bundle";
import { DomainError, parseUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Context } from "../context.ts";

const defaultPage = 1_000;
const largestPage = 10_000;

/** ReferenceService.ListBundles: what the scrubber of cas-gateway compares with what is stored. */
export async function listBundles(
  context: Context,
  { organizationId, backendId, afterDigest, pageSize }: ReferenceServiceListBundlesRequest,
): Promise<MessageInitShape<typeof ReferenceServiceListBundlesResponseSchema>> {
  const bundles = await context.references({
    organizationId: parseUuid(organizationId, "REQUEST_INVALID", "organization_id"),
    backendId: parseUuid(backendId, "REQUEST_INVALID", "backend_id"),
    after: afterDigest === "" ? undefined : parseDigest(afterDigest),
    limit: limitOf(pageSize),
  });
  return { bundles: bundles.map(({ digest, sizeBytes }) => ({ digest, sizeBytes: BigInt(sizeBytes) })) };
}

function limitOf(pageSize: number): number {
  if (pageSize === 0) return defaultPage;
  if (pageSize > 0 && pageSize <= largestPage) return pageSize;
  throw new DomainError(
    "REQUEST_INVALID",
    `page_size must be 1 to ${largestPage}, or 0 for ${defaultPage}; came ${pageSize}`,
    { metadata: { expected: `0..${largestPage}`, actual: String(pageSize) } },
  );
}
