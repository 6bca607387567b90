import { DomainError, type Role } from "@attestry/service-kit";

export interface ClaimCondition {
  claim: string;
  /** Of the whole value; `*` stands for any characters. */
  pattern: string;
}

/** Which ID tokens are exchanged, and for what. */
export interface FederationRule {
  id: string;
  name: string;
  /** As tokens have it, character for character. */
  issuer: string;
  audience: string;
  conditions: ClaimCondition[];
  role: Exclude<Role, "admin">;
  lifetimeSeconds: number;
  createdAt: Date;
}

export type NewFederationRule = Omit<FederationRule, "createdAt"> & { organizationId: string };

/** Of one organization. */
export const mostRules = 50;
const mostConditions = 20;
const longestText = 512;
/** Looked at in any case, or of no one in particular: a rule with nothing else would let everybody in. */
const ofEveryToken: ReadonlySet<string> = new Set(["iss", "aud", "exp", "iat", "nbf", "jti"]);
const lifetime = { least: 60n, most: 3_600n, unset: 900n };

/** 1 to 20 conditions with different claims. Throws REQUEST_INVALID. */
export function parseConditions(conditions: readonly ClaimCondition[]): ClaimCondition[] {
  const { length } = conditions;
  if (length < 1 || length > mostConditions) {
    throw invalid("conditions", `1 to ${mostConditions}, since a rule without one would let everybody in`, `${length}`);
  }
  const parsed = conditions.map(({ claim, pattern }, index) => ({
    claim: parseText(claim, `conditions[${index}].claim`),
    pattern: parseText(pattern, `conditions[${index}].pattern`),
  }));
  const own = parsed.find(({ claim }) => ofEveryToken.has(claim));
  if (own !== undefined)
    throw invalid("conditions", "claims that say whose job it is", `${own.claim}, which every token has`);
  const twice = parsed.find(({ claim }, index) => parsed.findIndex((one) => one.claim === claim) !== index);
  if (twice !== undefined) throw invalid("conditions", "one for each claim", `two for ${twice.claim}`);
  if (parsed.every(({ pattern }) => /^\*+$/.test(pattern)))
    throw invalid("conditions", "one at least that is more than *", "only *");
  return parsed;
}

/** 1 to 512 printable characters. Throws REQUEST_INVALID. */
export function parseText(text: string, what: string): string {
  if (text.length >= 1 && text.length <= longestText && /^[^\p{C}\p{Zl}\p{Zp}]*$/u.test(text)) return text;
  throw invalid(
    what,
    `1 to ${longestText} printable characters`,
    text === "" ? "nothing" : `${text.length} characters`,
  );
}

/** Seconds; 0 becomes 15 min. Throws LIFETIME_INVALID. */
export function parseRuleLifetime(seconds: bigint): number {
  const asked = seconds === 0n ? lifetime.unset : seconds;
  if (asked >= lifetime.least && asked <= lifetime.most) return Number(asked);
  const expected = `${lifetime.least} to ${lifetime.most} seconds, or 0 for ${lifetime.unset}`;
  throw new DomainError("LIFETIME_INVALID", `lifetime_seconds must be ${expected}; came ${seconds}`, {
    metadata: { expected, actual: String(seconds) },
  });
}

export function ruleNotFound(name: string): DomainError {
  return new DomainError("FEDERATION_RULE_NOT_FOUND", `there is no federation rule ${name} in this organization`);
}

function invalid(what: string, expected: string, actual: string): DomainError {
  return new DomainError("REQUEST_INVALID", `${what} must be ${expected}; came ${actual}`, {
    metadata: { expected, actual },
  });
}
