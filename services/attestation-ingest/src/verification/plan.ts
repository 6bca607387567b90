import { type RunServiceGetStoragePlanResponse, VerificationMode } from "@attestry/api/run";

/** How the signature of an attestation is to be verified before it is kept. */
export type VerificationPlan = { mode: "off" | "signature" } | { mode: "trusted"; trustRevision: number };

/**
 * What the organization asks for. An older workflow-run says nothing, and then it is what organizations have unless they
 * ask for another. Throws for a mode that this build does not know: nothing is kept under a weaker one.
 */
export function verificationPlan({
  verificationMode,
  trustRevision,
}: Pick<RunServiceGetStoragePlanResponse, "verificationMode" | "trustRevision">): VerificationPlan {
  switch (verificationMode) {
    case VerificationMode.OFF:
      return { mode: "off" };
    case VerificationMode.UNSPECIFIED:
    case VerificationMode.SIGNATURE:
      return { mode: "signature" };
    case VerificationMode.TRUSTED:
      if (trustRevision > 0) return { mode: "trusted", trustRevision };
      throw new Error("GetStoragePlan answered with the mode trusted and without a trust revision");
    default:
      throw new Error(`GetStoragePlan answered with the verification mode ${verificationMode}`);
  }
}
