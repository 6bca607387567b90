import {
  type UploadServiceRetryRequest,
  type UploadServiceRetryResponse,
  UploadServiceRetryResponseSchema,
} from "@attestry/api/ingest";
import { parseDigest } from "@attestry/bundle";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";

/** UploadService.Retry: makes uploads due at once, those that were given up too. */
export async function retryUploads(
  context: Context,
  request: UploadServiceRetryRequest,
  call: HandlerContext,
): Promise<UploadServiceRetryResponse> {
  const { organizationId, tokenId } = apiPrincipal(call);
  const retried = await retry(context, { organizationId, actor: `token ${tokenId}` }, request.which);
  return create(UploadServiceRetryResponseSchema, { retried });
}

async function retry(
  { attestations, uploads }: Context,
  { organizationId, actor }: { organizationId: string; actor: string },
  which: UploadServiceRetryRequest["which"],
): Promise<number> {
  if (which.case === "all" && which.value) return uploads.retryAll(organizationId, actor);
  if (which.case !== "digest") {
    throw new DomainError("REQUEST_INVALID", "digest must be set, or all must be true; came neither");
  }
  const digest = parseDigest(which.value);
  if ((await attestations.ofDigest({ organizationId, digest })) === undefined) {
    throw new DomainError("ATTESTATION_NOT_FOUND", `this organization has no attestation of the digest ${digest}`);
  }
  return uploads.retryDigest(organizationId, digest, actor);
}
