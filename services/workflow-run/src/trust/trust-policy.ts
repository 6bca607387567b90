import type { TrustPolicy } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";

/** One revision of whom an organization trusts. */
export interface TrustRevision {
  organizationId: string;
  /** From 1 on. */
  revision: number;
  policy: TrustPolicy;
  setAt: Date;
}

/** The organization has no trust policy, or not that revision of it. */
export function trustNotFound(revision: number): DomainError {
  const what = revision === 0 ? "no trust policy: none was set" : `no revision ${revision} of its trust policy`;
  return new DomainError("TRUST_NOT_FOUND", `this organization has ${what}`);
}

/** `trusted` is asked for where nobody is trusted yet. */
export function trustNotSet(name: string): DomainError {
  return new DomainError(
    "TRUST_NOT_SET",
    `verification_mode trusted needs a trust policy, and the organization ${name} has none: set one first (TrustService.Set)`,
    { metadata: { expected: "a trust policy", actual: "none" } },
  );
}
