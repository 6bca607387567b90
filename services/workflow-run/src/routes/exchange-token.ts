import type { FederationServiceExchangeRequest, FederationServiceExchangeResponseSchema } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppContext } from "../context.ts";
import { newFederatedToken } from "../federation/federated-token.ts";
import { matchingRule } from "../federation/matching-rule.ts";
import { readIdToken, verifyIdToken } from "../federation/verify-id-token.ts";
import { tokenMessage } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";
import { signToken } from "../tokens/sign-token.ts";

/**
 * FederationService.Exchange, the one RPC that is for callers without a token. Nothing is fetched for a token whose
 * issuer no rule of the organization names.
 */
export async function exchangeToken(
  context: AppContext,
  request: FederationServiceExchangeRequest,
): Promise<MessageInitShape<typeof FederationServiceExchangeResponseSchema>> {
  const name = parseName(request.organization, nameRule, "organization");
  const unverified = readIdToken(request.idToken);
  const organization = await context.organizations.findByName(name);
  const rules = organization === null ? [] : await context.federation.list(organization.id);
  const ofIssuer = rules.filter(({ issuer }) => issuer === unverified?.iss);
  const [first] = ofIssuer;

  function refused(why: object): DomainError {
    context.logger.info({ organization: name, ...why }, "an ID token was not exchanged");
    const names = Object.keys(unverified ?? {})
      .slice(0, 50)
      .join(", ")
      .slice(0, 1_000);
    const has = unverified === undefined ? "it is no JWT of at most 16 KiB" : `its claims are ${names}`;
    const message = `no federation rule of the organization ${name} lets this ID token in; ${has}. An admin finds why in the log of workflow-run`;
    return new DomainError("FEDERATION_REFUSED", message);
  }

  if (organization === null || unverified === undefined || first === undefined)
    throw refused({ why: "no rule has its issuer", issuer: String(unverified?.iss).slice(0, 200) });
  const keys = context.issuerKeys.of(first.issuer, organization.id);
  const claims = await verifyIdToken(request.idToken, first.issuer, keys).catch((error: unknown) => {
    if (error instanceof DomainError) throw error;
    throw refused({ issuer: first.issuer, err: error });
  });
  const { rule, mismatches } = matchingRule(ofIssuer, claims);
  if (rule === undefined) throw refused({ mismatches });

  context.exchangeCounts.count(request.idToken);
  const { token, entry } = newFederatedToken(organization.id, rule, claims);
  const made = await context.tokens.createFederated(token, entry);
  if (made === null) throw refused({ why: "its rule was deleted meanwhile", rule: rule.name });
  return { token: tokenMessage(made), secret: await signToken(context.keyring, organization, made) };
}
