import { NotCheckedReasonSchema, type Verification, VerificationStatus } from "@attestry/api/ingest";
import { VerificationModeSchema } from "@attestry/api/run";
import { timeCell } from "./cells.ts";
import type { Cell } from "./output.ts";
import { enumWord } from "./plain.ts";

/** `verified (trusted)`, `not checked: no key`; nothing if the server says nothing. */
export function verificationCell(verification: Verification | undefined): string | null {
  if (verification === undefined) return null;
  if (verification.status === VerificationStatus.VERIFIED)
    return `verified (${enumWord(VerificationModeSchema, verification.mode)})`;
  return `not checked: ${(enumWord(NotCheckedReasonSchema, verification.reason) ?? "unknown").replaceAll("-", " ")}`;
}

/** What is known of the signer, each on a line. */
export function signerCells(verification: Verification | undefined): Record<string, Cell> {
  if (verification?.status !== VerificationStatus.VERIFIED) return {};
  const { signer, issuer, integratedAt } = verification;
  return { signer, issuer, ...(integratedAt && { "in a log since": timeCell(integratedAt) }) };
}
