import { LRUCache } from "lru-cache";
import { digestOf } from "../digest.ts";
import { BundleError } from "../error.ts";
import { type ParsedBundle, parseBundle } from "../parse-bundle.ts";
import { summarize } from "../summary.ts";
import { checkSignature } from "../verify/check-signature.ts";
import { type ParsedTrustPolicy, parseTrustPolicy } from "../verify/trust-policy.ts";
import { verifyTrusted } from "../verify/verify-trusted.ts";
import type { Answer, Message, Verification, VerifyResult } from "./task.ts";

type TrustedTask = Extract<Message["task"], { check: "trusted" }>;

/** Read policies, by key; one takes up to a few MiB. Not for good: a restored database may give a key again. */
const policies = new LRUCache<string, ParsedTrustPolicy>({ max: 50, ttl: 10 * 60_000 });

/** Runs in a thread: reads one bundle, and verifies it as it is asked. Never throws, so that what fails is the thread. */
export default function answer({ bytes, begun, limits, task }: Message): Answer {
  Atomics.store(begun, 0, 1);
  try {
    if (task.check !== "trusted") {
      const verify = (parsed: ParsedBundle) => (task.check === "signature" ? checkSignature(parsed) : undefined);
      return { found: found(parseBundle(bytes, limits), bytes, verify) };
    }
    const policy = policyOf(task);
    if (policy === undefined) {
      return { policyMissing: bytes };
    }
    const verify = (parsed: ParsedBundle) => verifyTrusted(parsed, policy, task.receivedAt);
    return { found: found(parseBundle(bytes, limits), bytes, verify) };
  } catch (error) {
    if (!(error instanceof BundleError)) {
      return { failed: error };
    }
    const { code, message, metadata } = error;
    return { refused: { code, message, metadata } };
  }
}

function found(
  parsed: ParsedBundle,
  bytes: Uint8Array,
  verify: (parsed: ParsedBundle) => Verification[keyof Verification],
): VerifyResult<keyof Verification> {
  return { digest: digestOf(bytes), summary: summarize(parsed), verification: verify(parsed) };
}

function policyOf({ policyKey, policy }: TrustedTask): ParsedTrustPolicy | undefined {
  const known = policies.get(policyKey);
  if (known !== undefined || policy === undefined) {
    return known;
  }
  const parsed = parseTrustPolicy(policy);
  policies.set(policyKey, parsed);
  return parsed;
}
