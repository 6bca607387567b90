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

export async function issueCertificate(
  { signing, logger }: AppContext,
  { signingRequest }: SigningServiceIssueCertificateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof SigningServiceIssueCertificateResponseSchema>> {
  const { organizationId, tokenId } = apiPrincipal(call);
  if (signing === undefined) throw signingNotSetUp();
  const key = await readSigningRequest(signingRequest);
  const { certificates, serial, expiresAt } = await signing.current.issue(key, organizationId);
  logger.info({ serial, tokenId, organizationId, expiresAt }, "a certificate was issued");
  return { certificates: [...certificates], expiresAt: timestampFromDate(expiresAt) };
}
