import type {
  SigningServiceIssueCertificateRequest,
  SigningServiceIssueCertificateResponseSchema,
} from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import { readSigningRequest } from "@attestry/service-kit/certificates";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { signingNotSetUp } from "../signing/watched-authority.ts";
import { callerActor } from "../tokens/token.ts";

export async function issueCertificate(
  { signing, audit, tokens, logger }: AppContext,
  { signingRequest }: SigningServiceIssueCertificateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof SigningServiceIssueCertificateResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId, tokenId } = caller;
  if (signing === undefined) throw signingNotSetUp();
  const key = await readSigningRequest(signingRequest);
  const actor = await callerActor(tokens, caller);
  const { certificates, serial, expiresAt } = await signing.current.issue(key, organizationId);
  const detail = { expires_at: expiresAt.toISOString() };
  // First of all: a certificate that nobody was told of is not given to anybody.
  await audit.record(organizationId, [
    { actor, action: "certificate.issue", resource: `certificate ${serial}`, detail },
  ]);
  logger.info({ serial, tokenId, organizationId, expiresAt }, "a certificate was issued");
  return { certificates: [...certificates], expiresAt: timestampFromDate(expiresAt) };
}
