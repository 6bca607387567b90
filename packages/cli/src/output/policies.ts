import { PolicyStatusSchema, type PolicySummary } from "@attestry/api/run";
import { enumWord } from "./plain.ts";

/** The status; undefined if nothing is known of policies. */
export function policyStatusCell(summary: PolicySummary | undefined): string | null | undefined {
  return summary && enumWord(PolicyStatusSchema, summary.status);
}

/** The status with what was counted: `blocked: total 3, passed 2, violated 1`. */
export function policiesCell(summary: PolicySummary | undefined): string | undefined {
  if (summary === undefined) return undefined;
  const { total, passed, skipped, suppressed, violated } = summary;
  const counts = Object.entries({ total, passed, skipped, suppressed, violated })
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${what} ${count}`);
  return [policyStatusCell(summary) ?? "unknown", counts.join(", ")].filter((part) => part !== "").join(": ");
}
