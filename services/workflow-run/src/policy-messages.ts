import * as api from "@attestry/api/run";
import type { PolicyStatus, PolicySummary } from "@attestry/bundle";
import type { MessageInitShape } from "@bufbuild/protobuf";

export const policyStatuses = {
  not_applicable: api.PolicyStatus.NOT_APPLICABLE,
  passed: api.PolicyStatus.PASSED,
  skipped: api.PolicyStatus.SKIPPED,
  warning: api.PolicyStatus.WARNING,
  blocked: api.PolicyStatus.BLOCKED,
  bypassed: api.PolicyStatus.BYPASSED,
} as const satisfies Record<PolicyStatus, api.PolicyStatus>;

/** The field policy_summary of a run; no field if there is none. */
export function policyField(summary: PolicySummary | null): {
  policySummary?: MessageInitShape<typeof api.PolicySummarySchema>;
} {
  return summary === null ? {} : { policySummary: { ...summary, status: policyStatuses[summary.status] } };
}

/**
 * What a peer says that an attestation says. Null: nothing, or, from a newer one, what this build does not know: the run
 * is completed all the same.
 */
export function readPolicySummary(message: api.PolicySummary | undefined): PolicySummary | null {
  if (message === undefined) return null;
  const { total, passed, skipped, violated, hasGates, suppressed } = message;
  const status = (Object.keys(policyStatuses) as PolicyStatus[]).find(
    (name) => policyStatuses[name] === message.status,
  );
  if (status === undefined || Math.min(total, passed, skipped, violated, suppressed) < 0) return null;
  return { status, total, passed, skipped, violated, hasGates, suppressed };
}
