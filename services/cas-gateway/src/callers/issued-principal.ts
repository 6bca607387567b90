import type { CredentialService, CredentialServiceIssueCasTokenRequest_ServiceSchema } from "@attestry/api/run";
import type { CasPrincipal, Keyring } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";

export interface Issuer {
  credentials: Client<typeof CredentialService>;
  keyring: Keyring;
}

/** What workflow-run lets the gateway do in an organization, as the token says that it issues. Throws what IssueCasToken throws. */
export async function issuedPrincipal(
  { credentials, keyring }: Issuer,
  value: MessageInitShape<typeof CredentialServiceIssueCasTokenRequest_ServiceSchema>,
  options: CallOptions,
): Promise<CasPrincipal> {
  const { token } = await credentials.issueCasToken({ purpose: { case: "service", value } }, options);
  const { principal } = await keyring.verify(token);
  if (principal.kind !== "cas") throw new Error(`workflow-run issued a token of the kind ${principal.kind}`);
  return principal;
}
