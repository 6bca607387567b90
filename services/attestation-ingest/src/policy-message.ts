import { PolicyStatus, type PolicySummarySchema } from "@attestry/api/run";
import type { PolicySummary } from "@attestry/bundle";
import type { MessageInitShape } from "@bufbuild/protobuf";

const statuses: Record<PolicySummary["status"], PolicyStatus> = {
  not_applicable: PolicyStatus.NOT_APPLICABLE,
  passed: PolicyStatus.PASSED,
  skipped: PolicyStatus.SKIPPED,
  warning: PolicyStatus.WARNING,
  blocked: PolicyStatus.BLOCKED,
  bypassed: PolicyStatus.BYPASSED,
};

/** The field policy_summary of Complete; no field if nothing is known. */
export function policyField(summary: PolicySummary | null): {
  policySummary?: MessageInitShape<typeof PolicySummarySchema>;
} {
  return summary === null ? {} : { policySummary: { ...summary, status: statuses[summary.status] } };
}
