import { type ApiPrincipal, DomainError, type Role } from "@attestry/service-kit";
import type { AuditEntry } from "@attestry/service-kit/audit";

export interface Token {
  id: string;
  name: string;
  role: Role;
  instanceAdmin: boolean;
  createdAt: Date;
  /** Null: never. */
  expiresAt: Date | null;
  /** Null: not revoked. */
  revokedAt: Date | null;
  /** Null: not that it was told. */
  lastUsedAt: Date | null;
  /** Given for an ID token; forgotten a week after it ran out. */
  federated: boolean;
  /** In the shape that the chainloop command line reads. */
  forChainloop: boolean;
}

export type NewToken = Omit<Token, "createdAt" | "revokedAt" | "lastUsedAt"> & { organizationId: string };
/** One that a federation rule gives, and that ends with it. */
export type NewFederatedToken = NewToken & { federated: true; federationRuleId: string };

const longestLifetimeSeconds = 10n * 366n * 86_400n;

/** When a token of this lifetime in seconds, made now, runs out; null for 0. Throws LIFETIME_INVALID. */
export function parseLifetime(seconds: bigint): Date | null {
  if (seconds === 0n) return null;
  if (seconds > 0n && seconds <= longestLifetimeSeconds) return new Date(Date.now() + Number(seconds) * 1000);
  const expected = `1 to ${longestLifetimeSeconds} seconds (10 years), or 0 for no end`;
  throw new DomainError("LIFETIME_INVALID", `lifetime_seconds must be ${expected}; came ${seconds}`, {
    metadata: { expected, actual: String(seconds) },
  });
}

interface TokenNames {
  find(organizationId: string, id: string): Promise<Pick<Token, "name"> | null>;
}

/** The caller, as the audit log names it. */
export async function callerActor(tokens: TokenNames, { organizationId, tokenId }: ApiPrincipal): Promise<string> {
  return tokenActor(tokenId, await tokens.find(organizationId, tokenId));
}

/** The caller with a token, as the audit log names it; null: what is not kept of it has no name. */
function tokenActor(id: string, token: Pick<Token, "name"> | null): string {
  return token === null ? `token ${id}` : `token ${token.name} (${id})`;
}

/** What the audit log is told of a token that was made or revoked; never its secret. */
export function tokenEntry(verb: "create" | "revoke", token: Token, actor: string): AuditEntry {
  const { id, name, role, expiresAt, instanceAdmin, forChainloop } = token;
  const detail = {
    ...{ name, role, expires_at: expiresAt?.toISOString() ?? "never", instance_admin: String(instanceAdmin) },
    ...(forChainloop && { for_chainloop: "true" }),
  };
  return { actor, action: `token.${verb}`, resource: `token ${id}`, detail };
}

export function tokenNotFound(token: string): DomainError {
  return new DomainError("TOKEN_NOT_FOUND", `there is no token ${token.slice(0, 150)} in this organization`);
}
