import { matchesPattern } from "@attestry/bundle";
import type { JWTPayload } from "jose";
import type { FederationRule } from "./rule.ts";

/** Why a rule does not let a token in, for whoever keeps the rules. */
export interface Mismatch {
  rule: string;
  /** What did not hold, such as `repository=acme/app`. */
  failed: string[];
}

/** The first rule that the claims of a verified token fit, and why the ones before it do not. */
export function matchingRule(
  rules: readonly FederationRule[],
  claims: JWTPayload,
): { rule: FederationRule | undefined; mismatches: Mismatch[] } {
  const mismatches: Mismatch[] = [];
  for (const rule of rules) {
    const failed = failedConditions(rule, claims);
    if (failed.length === 0) return { rule, mismatches };
    mismatches.push({ rule: rule.name, failed });
  }
  return { rule: undefined, mismatches };
}

function failedConditions({ issuer, audience, conditions }: FederationRule, claims: JWTPayload): string[] {
  const failed: string[] = [];
  if (claims.iss !== issuer) failed.push(`iss=${issuer}`);
  if (![claims.aud ?? []].flat().includes(audience)) failed.push(`aud=${audience}`);
  for (const { claim, pattern } of conditions) {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (!isPlain || !matchesPattern(pattern, String(value))) failed.push(`${claim}=${pattern}`);
  }
  return failed;
}
