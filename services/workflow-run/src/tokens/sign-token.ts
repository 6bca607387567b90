import type { Keyring } from "@attestry/service-kit";
import type { Organization } from "../organizations/organization.ts";
import type { Token } from "./token.ts";

/** The JWT of a token: what its bearer sends. */
export function signToken(keyring: Keyring, organization: Organization, token: Token): Promise<string> {
  return keyring.issueApiToken({
    tokenId: token.id,
    organizationId: organization.id,
    organization: organization.name,
    role: token.role,
    instanceAdmin: token.instanceAdmin,
    forChainloop: token.forChainloop,
    ...(token.expiresAt === null ? {} : { expiresAt: token.expiresAt }),
  });
}
