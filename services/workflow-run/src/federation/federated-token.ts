import { uuidv7 } from "@attestry/service-kit";
import type { AuditEntry } from "@attestry/service-kit/audit";
import type { JWTPayload } from "jose";
import type { NewFederatedToken } from "../tokens/token.ts";
import type { FederationRule } from "./rule.ts";

const longestSubject = 40;
const longestDetail = 300;

/** The API token for an ID token that a rule lets in, and what the audit log is told of it. */
export function newFederatedToken(
  organizationId: string,
  rule: FederationRule,
  claims: JWTPayload,
): { token: NewFederatedToken; entry: AuditEntry } {
  const id = uuidv7();
  const { sub = "", iss = "" } = claims;
  // Unique by its end: the same job may exchange its token more than once.
  const subject = sub.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, longestSubject);
  const name = `${rule.name}.${subject}.${id.slice(-8)}`;
  const expiresAt = new Date(Date.now() + rule.lifetimeSeconds * 1_000);
  return {
    token: {
      ...{ id, organizationId, name, role: rule.role, expiresAt, instanceAdmin: false },
      ...{ federated: true, federationRuleId: rule.id, forChainloop: false },
    },
    entry: {
      actor: `federation rule ${rule.name} (${rule.id})`,
      action: "token.exchange",
      resource: `token ${id}`,
      detail: {
        ...{ name, role: rule.role, issuer: iss, subject: storable(sub), expires_at: expiresAt.toISOString() },
        ...Object.fromEntries(rule.conditions.map(({ claim }) => [`claim.${claim}`, storable(String(claims[claim]))])),
      },
    },
  };
}

/** PostgreSQL keeps neither zero bytes nor half characters. */
function storable(text: string): string {
  return text.slice(0, longestDetail).replaceAll("\0", "").toWellFormed();
}
