import { NotCheckedReason, type VerificationSchema, VerificationStatus } from "@attestry/api/ingest";
import { VerificationMode } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { KeptVerification, Verification } from "../verification/verification.ts";

const modes: Record<Verification["verificationMode"], VerificationMode> = {
  off: VerificationMode.OFF,
  signature: VerificationMode.SIGNATURE,
  trusted: VerificationMode.TRUSTED,
};

const reasons: Record<Verification["verificationResult"], NotCheckedReason> = {
  verified: NotCheckedReason.UNSPECIFIED,
  off: NotCheckedReason.OFF,
  no_key: NotCheckedReason.NO_KEY,
};

/** What verification found, as the API shows it. */
export function verificationMessage(
  kept: KeptVerification & { receivedAt: Date },
): MessageInitShape<typeof VerificationSchema> {
  const { verificationMode, verificationResult, integratedAt } = kept;
  const verified = verificationResult === "verified";
  return {
    status: verified ? VerificationStatus.VERIFIED : VerificationStatus.NOT_CHECKED,
    reason: verificationResult === null ? NotCheckedReason.STORED_BEFORE : reasons[verificationResult],
    mode: verificationMode === null ? VerificationMode.UNSPECIFIED : modes[verificationMode],
    signer: kept.signer ?? "",
    issuer: kept.issuer ?? "",
    ...(integratedAt && { integratedAt: timestampFromDate(integratedAt) }),
    receivedAt: timestampFromDate(kept.receivedAt),
    trustRevision: kept.trustRevision ?? 0,
  };
}
