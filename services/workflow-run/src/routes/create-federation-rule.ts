import type { FederationServiceCreateRequest, FederationServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, uuidv7 } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { parseIssuer } from "../federation/issuer-address.ts";
import { mostRules, parseConditions, parseRuleLifetime, parseText } from "../federation/rule.ts";
import { federationRuleMessage, parseEnum, roles } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

const { ci, reader } = roles;

export async function createFederationRule(
  context: AppContext,
  { rule: asked }: FederationServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof FederationServiceCreateResponseSchema>> {
  const caller = apiPrincipal(call);
  if (asked === undefined) throw new DomainError("REQUEST_INVALID", "give a rule; came none");
  const rule = {
    id: uuidv7(),
    organizationId: caller.organizationId,
    name: parseName(asked.name, nameRule, "rule.name"),
    issuer: parseIssuer(asked.issuer, context.issuerBounds),
    audience: parseText(asked.audience, "audience"),
    conditions: parseConditions(asked.conditions),
    role: parseEnum({ ci, reader }, asked.role, "role", "ROLE_INVALID"),
    lifetimeSeconds: parseRuleLifetime(asked.lifetimeSeconds),
  };
  const { name, issuer, audience, role, lifetimeSeconds } = rule;
  const conditions = rule.conditions.map(({ claim, pattern }) => `${claim}=${pattern}`).join(" ");
  const made = await context.federation.create(rule, {
    actor: await callerActor(context.tokens, caller),
    action: "federation.create",
    resource: `federation rule ${rule.id}`,
    detail: { name, issuer, audience, role, conditions, lifetime: `${lifetimeSeconds}s` },
  });
  if (made === "exists")
    throw new DomainError("FEDERATION_RULE_EXISTS", `there is a federation rule ${name} in this organization already`);
  if (made === "too many") {
    const message = `an organization has at most ${mostRules} federation rules; delete one first`;
    throw new DomainError("FEDERATION_RULE_LIMIT", message);
  }
  return { rule: federationRuleMessage(made) };
}
