import { describe, expect, test } from "@jest/globals";
import { DEFAULT_LIMITS, parseBundle, parseStatement, summarize } from "../src/index.ts";
import { bytesOf, envelopeOf, fixture, STATEMENT } from "./support.ts";

const predicateType = "chainloop.dev/attestation/v0.2";
const nothing = { total: 0, passed: 0, skipped: 0, violated: 0, hasGates: false, suppressed: 0 };
const hex = (n: number) => n.toString(16).padStart(64, "0");
const violation = { subject: "policy", message: "no" };

function read(predicate: unknown, limits = DEFAULT_LIMITS) {
  const { chainloop } = parseStatement(bytesOf({ ...STATEMENT, predicateType, predicate }), limits);
  return chainloop ?? { policies: "of another type", materialKeys: [], dependencies: [] };
}

const attestation = (sha256: string) => ({
  name: "att",
  digest: { sha256 },
  annotations: { "chainloop.material.type": "ATTESTATION" },
});

describe("policies", () => {
  const counts = { policyEvaluationsCount: 3, policyPassedCount: 2 };
  const enforced = { policyCheckBlockingStrategy: "ENFORCED" };
  const advisory = { policyCheckBlockingStrategy: "ADVISORY" };
  const violated = { ...counts, policyViolationsCount: 4, policyHasViolations: true };
  test.each<[string, object, object]>([
    ["nothing at all", {}, { status: "not_applicable", ...nothing }],
    [
      "none, whatever else is said",
      { ...enforced, policyEvaluationsCount: 0, policyHasViolations: true, policyHasGates: true },
      { status: "not_applicable", ...nothing },
    ],
    ["passed", { ...counts, ...advisory }, { status: "passed", ...nothing, total: 3, passed: 2 }],
    ["strict", { ...counts, ...enforced }, { status: "passed", ...nothing, total: 3, passed: 2, hasGates: true }],
    [
      "skipped and suppressed",
      { ...counts, policySkippedCount: 1, policySuppressedCount: 1, policyHasGates: true },
      { status: "skipped", total: 3, passed: 2, skipped: 1, violated: 0, hasGates: true, suppressed: 1 },
    ],
    [
      "a warning before what was skipped",
      { ...violated, ...advisory, policySkippedCount: 1 },
      { status: "warning", ...nothing, total: 3, passed: 2, skipped: 1, violated: 4 },
    ],
    [
      "bypassed without an effect",
      { ...violated, ...advisory, policyBlockBypassEnabled: true },
      { status: "warning", ...nothing, total: 3, passed: 2, violated: 4 },
    ],
    [
      "blocked by the strategy",
      { ...violated, ...enforced },
      { status: "blocked", ...nothing, total: 3, passed: 2, violated: 4, hasGates: true },
    ],
    [
      "blocked by a gate",
      { ...violated, ...advisory, policyHasGatedViolations: true },
      { status: "blocked", ...nothing, total: 3, passed: 2, violated: 4 },
    ],
    [
      "bypassed",
      { ...violated, ...enforced, policyBlockBypassEnabled: true },
      { status: "bypassed", ...nothing, total: 3, passed: 2, violated: 4, hasGates: true },
    ],
    [
      "violations that are not counted",
      { ...counts, policyHasViolations: true },
      { status: "warning", ...nothing, total: 3, passed: 2 },
    ],
  ])("say %s", (_, predicate, summary) => expect(read(predicate).policies).toEqual(summary));

  const evaluations = {
    "CHAINLOOP.ATTESTATION": [
      { name: "a", violations: [violation, violation] },
      { name: "b", skipped: true },
    ],
    sbom: [
      { name: "a", violations: [], gate: true },
      { name: "b", violations: null, skipped: false },
    ],
  };
  test.each<[string, object, object]>([
    [
      "all",
      { policyEvaluations: evaluations },
      { status: "warning", total: 4, passed: 2, skipped: 1, violated: 2, hasGates: true, suppressed: 0 },
    ],
    [
      "all, by their oldest names",
      { policy_evaluations: evaluations, policy_has_violations: true },
      { status: "warning", total: 4, passed: 2, skipped: 1, violated: 2, hasGates: true, suppressed: 0 },
    ],
    [
      "those that were skipped, where only the others are counted",
      { policyEvaluationsCount: 2, policyEvaluations: { sbom: [{ skipped: true }, { skipped: true }] } },
      { status: "skipped", ...nothing, total: 2, skipped: 2 },
    ],
    [
      "a gate that was violated",
      { policyEvaluations: { sbom: [{ gate: true, violations: [violation] }] } },
      { status: "blocked", ...nothing, total: 1, violated: 1, hasGates: true },
    ],
    [
      "none of those that are counted",
      { policyEvaluationsCount: 5, policyViolationsCount: 0, policyPassedCount: 5, policyEvaluations: evaluations },
      { status: "passed", ...nothing, total: 5, passed: 5, hasGates: true },
    ],
  ])("are counted from the evaluations: %s", (_, predicate, summary) =>
    expect(read(predicate).policies).toEqual(summary),
  );

  test.each<[string, unknown]>([
    ["text", "predicate"],
    ["null", null],
    ["a list", [{}]],
    ["a negative count", { policyEvaluationsCount: -1 }],
    ["half a count", { policyEvaluationsCount: 1.5 }],
    ["a count that is text", { policyEvaluationsCount: "1" }],
    ["a count without bounds", { policyEvaluationsCount: 1, policyPassedCount: 1e300 }],
    ["a flag that is text", { policyHasViolations: "true" }],
    ["evaluations in a list", { policyEvaluations: [] }],
    ["evaluations that are no list", { policyEvaluations: { sbom: {} } }],
    ["an evaluation that is none", { policyEvaluations: { sbom: [1] } }],
    ["violations that are no list", { policyEvaluations: { sbom: [{ violations: 3 }] } }],
  ])("are none in %s", (_, predicate) => expect(read(predicate).policies).toBeUndefined());
});

describe("materials", () => {
  test("are found by their digests, each once", () => {
    const digest = { sha256: hex(0xab).toUpperCase(), x: "Y", __proto__: null };
    const { materialKeys } = read({
      materials: [{ name: "a", digest }, { name: "b", digest }, { digest: { x: "y" } }],
    });
    expect(materialKeys).toEqual([`sha256:${hex(0xab)}`, "x:Y", "x:y"]);
  });

  test("are left out where they are odd", () => {
    const digest = { sha256: 1, "": "a", empty: "", zero: "\0", half: "\ud800", long: "x".repeat(510), good: "a" };
    const odd = [null, 1, "a", [], {}, { digest: "a" }, { digest: ["a"] }, { digest: null }];
    expect(read({ materials: [...odd, { digest }] }).materialKeys).toEqual(["good:a"]);
    for (const materials of [{}, "a", 1, null]) {
      expect(read({ materials })).toMatchObject({ materialKeys: [], dependencies: [] });
    }
  });

  test("are as many as subjects may be", () => {
    const materials = Array.from({ length: 5 }, (_, n) => ({ digest: { sha256: hex(n) } }));
    const { materialKeys } = read({ materials }, { ...DEFAULT_LIMITS, subjects: 3 });
    expect(materialKeys).toEqual([0, 1, 2].map((n) => `sha256:${hex(n)}`));
  });

  test("that are attestations are dependencies, the first 100", () => {
    const others = [{ ...attestation(hex(1)), annotations: { "chainloop.material.type": "EVIDENCE" } }];
    const odd = [attestation("ab"), { ...attestation(hex(2)), annotations: "ATTESTATION" }];
    const many = Array.from({ length: 120 }, (_, n) => attestation(hex(n + 100)));
    const { dependencies } = read({ materials: [...others, ...odd, attestation(hex(0xab).toUpperCase()), ...many] });
    expect(dependencies).toHaveLength(100);
    expect(dependencies.slice(0, 2)).toEqual([`sha256:${hex(0xab)}`, `sha256:${hex(100)}`]);
  });
});

test("of other predicates nothing is read", () => {
  const predicate = { policyEvaluationsCount: 1, materials: [attestation(hex(1))] };
  for (const type of ["https://slsa.dev/provenance/v1", "https://chainloop.dev/attestation/v0.2"]) {
    expect(parseStatement(bytesOf({ ...STATEMENT, predicateType: type, predicate })).chainloop).toBeUndefined();
  }
  const summary = summarize(parseBundle(fixture("C02-string-predicate.json")));
  expect(summary).toMatchObject({ policies: undefined, materialKeysJson: "[]", dependencies: [] });
  const text = summarize(parseBundle(bytesOf(envelopeOf({ ...STATEMENT, predicateType, predicate: "text" }))));
  expect(text).toMatchObject({ policies: undefined, materialKeysJson: "[]", dependencies: [] });
});

test("what the command line signed is read", () => {
  const summary = summarize(parseBundle(fixture("chainloop-cli-63k.json")));
  expect(summary.policies).toEqual({ status: "not_applicable", ...nothing });
  expect(JSON.parse(summary.materialKeysJson).length).toBeGreaterThan(0);
});
