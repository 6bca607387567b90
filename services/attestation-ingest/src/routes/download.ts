import {
  type AttestationServiceDownloadRequest,
  type AttestationServiceDownloadResponse,
  AttestationServiceDownloadResponseSchema,
} from "@attestry/api/ingest";
import { apiPrincipal } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { findAttestation } from "./find-attestation.ts";
import { attestationMessage } from "./messages.ts";

const chunkBytes = 1024 * 1024;

/** AttestationService.Download: the attestation, then its bundle in chunks of at most 1 MiB. */
export async function* download(
  context: Context,
  request: AttestationServiceDownloadRequest,
  call: HandlerContext,
): AsyncGenerator<AttestationServiceDownloadResponse> {
  const { organizationId } = apiPrincipal(call);
  const attestation = await findAttestation(context, organizationId, request.by);
  // All of it is here and verified before the first message, so a client never has to throw a part away.
  const bundle = await context.bundles.read(attestation);

  yield create(AttestationServiceDownloadResponseSchema, {
    part: { case: "attestation", value: attestationMessage(attestation) },
  });
  for (let start = 0; start < bundle.length; start += chunkBytes) {
    yield create(AttestationServiceDownloadResponseSchema, {
      part: { case: "chunk", value: bundle.subarray(start, start + chunkBytes) },
    });
  }
}
