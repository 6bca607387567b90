import { BundleError, checkSignature, parseBundle, parseTrustPolicy, verifyTrusted } from "@attestry/bundle";
import type { BundleTask, ReadVerification } from "../reading/task.ts";

/** Whether one of the authorities issued the certificate by whose key a bundle is signed, good when it was received. */
export function verificationOf({
  bundle,
  authorities,
  receivedAt,
}: Extract<BundleTask, { kind: "verification" }>): ReadVerification | null {
  const parsed = parseBundle(bundle);
  const policy = parseTrustPolicy({
    material: { trustedRoots: [], certificateAuthorities: authorities, publicKeys: [] },
    ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
  });
  try {
    if (checkSignature(parsed).status === "not_checked") return null;
    verifyTrusted(parsed, policy, receivedAt);
    return { verified: true, failureReason: "" };
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    return { verified: false, failureReason: error.message };
  }
}
