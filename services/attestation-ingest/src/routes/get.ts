import {
  type AttestationServiceGetRequest,
  type AttestationServiceGetResponse,
  AttestationServiceGetResponseSchema,
} from "@attestry/api/ingest";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { findAttestation } from "./find-attestation.ts";
import { attestationMessage } from "./messages.ts";

/** What gRPC clients take by default is 4 MiB for the whole message; 64 KiB of it are for the attestation. */
const largestInlineBytes = 4 * 1024 * 1024 - 64 * 1024;

/** AttestationService.Get: an attestation with its bundle, byte for byte. */
export async function get(
  context: Context,
  request: AttestationServiceGetRequest,
  call: HandlerContext,
): Promise<AttestationServiceGetResponse> {
  const { organizationId } = apiPrincipal(call);
  const attestation = await findAttestation(context, organizationId, request.by);
  if (attestation.sizeBytes > largestInlineBytes) {
    throw new DomainError(
      "BUNDLE_NEEDS_DOWNLOAD",
      `the bundle has ${attestation.sizeBytes} bytes, and a client may take no more than 4 MiB in one message: use AttestationService.Download`,
      {
        metadata: {
          method: "attestry.ingest.v1.AttestationService/Download",
          size_bytes: String(attestation.sizeBytes),
        },
      },
    );
  }
  const bundle = await context.bundles.read(attestation);
  return create(AttestationServiceGetResponseSchema, { attestation: attestationMessage(attestation), bundle });
}
