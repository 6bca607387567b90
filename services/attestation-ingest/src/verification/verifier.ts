import {
  BundleError,
  type BundleLimits,
  type BundleSummary,
  checkSignatureIfFast,
  type Digest,
  digestOf,
  type ParsedBundle,
  parseBundle,
  summarize,
} from "@attestry/bundle";
import type { VerifyPool } from "@attestry/bundle/pool";
import type { Telemetry } from "../telemetry.ts";
import type { VerificationPlan } from "./plan.ts";
import type { TrustPolicies } from "./trust-policies.ts";
import type { Verification } from "./verification.ts";

/** What Store needs of a bundle beside its bytes. */
export interface ReadBundle {
  digest: Digest;
  /** All of it, if it was read in the event loop; else what the thread made of it. */
  content: { parsed: ParsedBundle } | { summary: BundleSummary };
}

/** A bundle that came to be stored. */
export interface Received extends ReadBundle {
  organizationId: string;
  bytes: Buffer;
  /** The moment that certificates are judged at. */
  receivedAt: Date;
}

/** A bundle up to this size is hashed and parsed without a thread, most in 0.1 ms. In bytes. */
const largestInline = 64 * 1024;
/** Distinct names take most of the time: 64 KiB can have 4,000 of them, which take 3 ms. */
const mostInline = { jsonMembers: 2_000, subjects: 1_000 };

export interface VerifierOptions {
  /** With the same limits. */
  pool: VerifyPool;
  limits: BundleLimits;
  policies: TrustPolicies;
  telemetry: Pick<Telemetry, "verified">;
}

/** Reads bundles and verifies their signatures. What would hold up the event loop for long is done in other threads. */
export class Verifier {
  readonly #pool: VerifyPool;
  readonly #limits: BundleLimits;
  readonly #policies: TrustPolicies;
  readonly #telemetry: Pick<Telemetry, "verified">;

  constructor({ pool, limits, policies, telemetry }: VerifierOptions) {
    this.#pool = pool;
    this.#limits = limits;
    this.#policies = policies;
    this.#telemetry = telemetry;
  }

  /** Throws what parseBundle throws. */
  async read(bytes: Buffer, signal: AbortSignal): Promise<ReadBundle> {
    const parsed = this.#parseIfFast(bytes);
    if (parsed !== undefined) return { digest: digestOf(bytes), content: { parsed } };
    const { digest, summary } = await this.#pool.run(bytes, { check: "none" }, signal);
    return { digest, content: { summary } };
  }

  /** Undefined: it would hold up the event loop. */
  #parseIfFast(bytes: Buffer): ParsedBundle | undefined {
    if (bytes.length > largestInline) return undefined;
    const { jsonMembers, subjects } = this.#limits;
    const limits = {
      ...this.#limits,
      jsonMembers: Math.min(jsonMembers, mostInline.jsonMembers),
      subjects: Math.min(subjects, mostInline.subjects),
    };
    try {
      return parseBundle(bytes, limits);
    } catch (error) {
      // It may still be within the limits that hold: a thread says so.
      if (error instanceof BundleError && error.code === "BUNDLE_TOO_COMPLEX") return undefined;
      throw error;
    }
  }

  /** Throws what checkSignature and verifyTrusted throw, and what TrustPolicies.get does. */
  async verify(received: Received, plan: VerificationPlan, signal: AbortSignal): Promise<Verification> {
    try {
      const verification = await this.#verify(received, plan, signal);
      this.#telemetry.verified(plan.mode, verification.verificationResult);
      return verification;
    } catch (error) {
      if (error instanceof BundleError) this.#telemetry.verified(plan.mode, "refused");
      throw error;
    }
  }

  async #verify(received: Received, plan: VerificationPlan, signal: AbortSignal): Promise<Verification> {
    switch (plan.mode) {
      case "off":
        return { ...unknown, verificationMode: "off", verificationResult: "off" };
      case "signature":
        return this.#checkSignature(received, signal);
      case "trusted":
        return this.#verifyTrusted(received, plan.trustRevision, signal);
    }
  }

  async #checkSignature({ bytes, content }: Received, signal: AbortSignal): Promise<Verification> {
    const found =
      ("parsed" in content ? checkSignatureIfFast(content.parsed) : undefined) ??
      (await this.#pool.run(bytes, { check: "signature" }, signal)).verification;
    if (found.status === "not_checked")
      return { ...unknown, verificationMode: "signature", verificationResult: found.reason };
    const { signer, issuer } = found;
    return { ...unknown, verificationMode: "signature", verificationResult: "verified", signer, issuer };
  }

  async #verifyTrusted(received: Received, trustRevision: number, signal: AbortSignal): Promise<Verification> {
    const { organizationId, bytes, receivedAt } = received;
    const policy = await this.#policies.get({ organizationId, revision: trustRevision });
    const policyKey = `${organizationId}:${trustRevision}`;
    const task = { check: "trusted", policyKey, policy, receivedAt } as const;
    const { signer, issuer, integratedAt } = (await this.#pool.run(bytes, task, signal)).verification;
    return {
      ...{ verificationMode: "trusted", verificationResult: "verified", signer, issuer, trustRevision },
      integratedAt: integratedAt ?? null,
    };
  }
}

/** What is kept of a bundle that was read. */
export function summaryOf({ content }: ReadBundle): BundleSummary {
  return "summary" in content ? content.summary : summarize(content.parsed);
}

const unknown = { signer: null, issuer: null, integratedAt: null, trustRevision: null } as const;
