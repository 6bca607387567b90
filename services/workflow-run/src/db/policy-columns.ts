import type { PolicySummary } from "@attestry/bundle";
import type { RunFilter } from "../runs/run.ts";

/** What the attestation of a run says of policies, as the table of runs has it: all of it, or nothing. */
export interface PolicyRow {
  policy_status: PolicySummary["status"] | null;
  policy_total: number;
  policy_passed: number;
  policy_skipped: number;
  policy_violated: number;
  policy_has_gates: boolean;
  policy_suppressed: number;
}

/** Each with the type of its array. */
const columns = {
  policy_status: ["policy_status[]", (summary) => summary.status],
  policy_total: ["int[]", (summary) => summary.total],
  policy_passed: ["int[]", (summary) => summary.passed],
  policy_skipped: ["int[]", (summary) => summary.skipped],
  policy_violated: ["int[]", (summary) => summary.violated],
  policy_has_gates: ["boolean[]", (summary) => summary.hasGates],
  policy_suppressed: ["int[]", (summary) => summary.suppressed],
} as const satisfies Record<keyof PolicyRow, [string, (summary: PolicySummary) => unknown]>;
const names = Object.keys(columns) as (keyof PolicyRow)[];

/** The names, each of the table or alias given. */
export function policyColumns(of: string): string {
  return names.map((name) => `${of}.${name}`).join(", ");
}

/** The names alone. */
export const policyNames: string = names.join(", ");

/** Sets each from the alias given. */
export function policyAssignments(from: string): string {
  return names.map((name) => `${name} = ${from}.${name}`).join(", ");
}

/** Parameters from the number given on, an array for each column. */
export function policyParameters(first: number): string {
  return names.map((name, index) => `$${first + index}::${columns[name][0]}`).join(", ");
}

/** Their values. */
export function policyValues(summaries: readonly (PolicySummary | null)[]): unknown[][] {
  return names.map((name) => summaries.map((summary) => summary && columns[name][1](summary)));
}

export function readPolicySummary(row: PolicyRow): PolicySummary | null {
  if (row.policy_status === null) return null;
  return {
    status: row.policy_status,
    total: row.policy_total,
    passed: row.policy_passed,
    skipped: row.policy_skipped,
    violated: row.policy_violated,
    hasGates: row.policy_has_gates,
    suppressed: row.policy_suppressed,
  };
}

/**
 * What rows of `run` that are called r must be. An attestation that says nothing counts as one without policies; a run
 * without one is never found. The values stand in the text: the planner must see that a partial index has them.
 */
export function policyConditions({ policyStatus, hasPolicyViolations, hasPolicyGates }: RunFilter): string[] {
  const conditions: string[] = [];
  if (policyStatus === "not_applicable")
    conditions.push("r.state = 'success'", "(r.policy_status is null or r.policy_status = 'not_applicable')");
  else if (policyStatus !== undefined) conditions.push(`r.policy_status = '${policyStatus}'`);
  if (hasPolicyViolations === true) conditions.push("r.policy_violated > 0");
  if (hasPolicyViolations === false) conditions.push("r.state = 'success'", "coalesce(r.policy_violated, 0) = 0");
  if (hasPolicyGates === true) conditions.push("r.policy_has_gates");
  if (hasPolicyGates === false) conditions.push("r.state = 'success'", "r.policy_has_gates is not true");
  return conditions;
}
