import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  GenerateSigningCertRequest,
  GenerateSigningCertResponseSchema,
  GetTrustedRootRequest,
  GetTrustedRootResponseSchema,
} from "../../gen/controlplane/v1/signing_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { asCaller } from "../native.ts";
import { trustedRootKey } from "../trusted-root-key.ts";

/** A certificate for the key of the client's signing request, and the chain that it hangs on. */
export async function generateSigningCert(
  { native }: ControlPlaneContext,
  { certificateSigningRequest }: GenerateSigningCertRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof GenerateSigningCertResponseSchema>> {
  const asked = { signingRequest: certificateSigningRequest };
  const { certificates } = await native.signing.issueCertificate(asked, asCaller(call));
  return { chain: { certificates: certificates.map((pem) => pem.trimEnd()) } };
}

/** What the client verifies attestations by: each chain under the id of the key that issues, or did. */
export async function getTrustedRoot(
  { native }: ControlPlaneContext,
  _request: GetTrustedRootRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof GetTrustedRootResponseSchema>> {
  const { former, ...present } = await native.signing.getAuthority({}, asCaller(call));
  // The present one last: it counts if a former one had the same id.
  const chains = [...former, present].map(({ subjectKeyId, certificates }) => [
    trustedRootKey(subjectKeyId),
    { certificates },
  ]);
  return { keys: Object.fromEntries(chains) };
}
