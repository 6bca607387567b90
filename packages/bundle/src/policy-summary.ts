import { isJsonObject, type JsonObject } from "./describe.ts";

/** What became of the policies that the client evaluated. */
export type PolicyStatus = "not_applicable" | "passed" | "skipped" | "warning" | "blocked" | "bypassed";

/** What a predicate of Chainloop says of policies: nothing of it was checked here. */
export type PolicySummary = {
  status: PolicyStatus;
  /** Evaluations. */
  total: number;
  passed: number;
  skipped: number;
  /** Violations: one evaluation may have several. */
  violated: number;
  hasGates: boolean;
  suppressed: number;
};

type Tally = Pick<PolicySummary, "total" | "passed" | "skipped" | "violated" | "hasGates"> & {
  hasGatedViolations: boolean;
};

/** Each with the name that the oldest clients wrote. */
const oldNames = {
  policyEvaluations: "policy_evaluations",
  policyEvaluationsCount: "policy_evaluations_count",
  policyViolationsCount: "policy_violations_count",
  policyPassedCount: "policy_passed_count",
  policySkippedCount: "policy_skipped_count",
  policySuppressedCount: "policy_suppressed_count",
  policyHasViolations: "policy_has_violations",
  policyHasGatedViolations: "policy_has_gated_violations",
  policyHasGates: "policy_has_gates",
  policyBlockBypassEnabled: "policy_block_bypass_enabled",
  policyCheckBlockingStrategy: "policy_check_blocking_strategy",
} as const;
type FieldName = keyof typeof oldNames;

const NONE = { total: 0, passed: 0, skipped: 0, violated: 0, hasGates: false, suppressed: 0 };
/** What a count is kept as. */
const MOST = 2 ** 31 - 1;

/**
 * The summary by the counters of the predicate; what it does not count, as those of older clients, is counted from the
 * evaluations in it. Undefined if one of the fields is not as Chainloop writes it.
 */
export function readPolicySummary(predicate: JsonObject): PolicySummary | undefined {
  const tally = tallyOf(field(predicate, "policyEvaluations") ?? {});
  // Zero is left out of these two: only both together tell that the client did not count them.
  const counted = (field(predicate, "policyPassedCount") ?? field(predicate, "policySkippedCount")) !== undefined;
  const total = countOf(predicate, "policyEvaluationsCount", tally?.total);
  const violated = countOf(predicate, "policyViolationsCount", tally?.violated);
  const passed = countOf(predicate, "policyPassedCount", counted ? 0 : tally?.passed);
  const skipped = countOf(predicate, "policySkippedCount", counted ? 0 : tally?.skipped);
  const suppressed = countOf(predicate, "policySuppressedCount", 0);
  const hasViolations = flagOf(predicate, "policyHasViolations");
  const gated = flagOf(predicate, "policyHasGatedViolations");
  const gates = flagOf(predicate, "policyHasGates");
  const bypassed = flagOf(predicate, "policyBlockBypassEnabled");
  const read = { tally, total, violated, passed, skipped, suppressed, hasViolations, gated, gates, bypassed };
  return isComplete(read) ? summaryOf(read, field(predicate, "policyCheckBlockingStrategy") === "ENFORCED") : undefined;
}

type Read = {
  tally: Tally;
  total: number;
  violated: number;
  passed: number;
  skipped: number;
  suppressed: number;
  hasViolations: boolean;
  gated: boolean;
  gates: boolean;
  bypassed: boolean;
};

function isComplete(read: { [K in keyof Read]: Read[K] | undefined }): read is Read {
  return Object.values(read).every((value) => value !== undefined);
}

// In the order of Chainloop's own rules: to bypass counts even where nothing was violated.
function summaryOf(read: Read, strict: boolean): PolicySummary {
  const { tally, total, passed, skipped, violated, suppressed } = read;
  if (total === 0) {
    return { status: "not_applicable", ...NONE };
  }
  const counts = { total, passed, skipped, violated, hasGates: strict || read.gates || tally.hasGates, suppressed };
  const enforced = strict || read.gated || tally.hasGatedViolations;
  if (enforced && read.bypassed) {
    return { status: "bypassed", ...counts };
  }
  if (read.hasViolations || violated > 0) {
    return { status: enforced ? "blocked" : "warning", ...counts };
  }
  return { status: skipped > 0 ? "skipped" : "passed", ...counts };
}

/** Of evaluations by the name of their material. Undefined: they are not that. */
function tallyOf(evaluations: unknown): Tally | undefined {
  if (!isJsonObject(evaluations)) {
    return undefined;
  }
  const tally: Tally = { total: 0, passed: 0, skipped: 0, violated: 0, hasGates: false, hasGatedViolations: false };
  for (const name of Object.keys(evaluations)) {
    const list = evaluations[name];
    if (!Array.isArray(list)) {
      return undefined;
    }
    for (const evaluation of list) {
      if (!isJsonObject(evaluation)) {
        return undefined;
      }
      const violations = evaluation.violations ?? [];
      if (!Array.isArray(violations)) {
        return undefined;
      }
      const gate = evaluation.gate === true;
      tally.total++;
      tally.hasGates ||= gate;
      if (violations.length > 0) {
        tally.violated += violations.length;
        tally.hasGatedViolations ||= gate;
      } else if (evaluation.skipped === true) {
        tally.skipped++;
      } else {
        tally.passed++;
      }
    }
  }
  return tally;
}

function countOf(predicate: JsonObject, name: FieldName, unset: number | undefined): number | undefined {
  const value = field(predicate, name) ?? unset;
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST ? value : undefined;
}

function flagOf(predicate: JsonObject, name: FieldName): boolean | undefined {
  const value = field(predicate, name) ?? false;
  return typeof value === "boolean" ? value : undefined;
}

/** Null is unset, and so undefined. */
function field(predicate: JsonObject, name: FieldName): unknown {
  return predicate[name] ?? predicate[oldNames[name]] ?? undefined;
}
