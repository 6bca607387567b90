import fc from "fast-check";
import { digests } from "./digest.ts";
import { type JsonText, listOf, objectOf, stringTexts } from "./json.ts";

const flags = fc.constantFrom("true", "false");
const counts = fc.nat(5).map(String);

const evaluations = objectOf({
  name: stringTexts,
  skipped: flags,
  gate: flags,
  violations: listOf(objectOf({ subject: stringTexts, message: stringTexts }), 2),
});

const materials = objectOf({
  name: stringTexts,
  digest: objectOf({ sha256: digests.map((digest) => JSON.stringify(digest.replace("sha256:", ""))) }),
  annotations: objectOf({ "chainloop.material.type": fc.constantFrom('"ATTESTATION"', '"ARTIFACT"') }),
});

/** Predicates of chainloop's command line as JSON, as far as they are read. */
export const chainloopPredicates: fc.Arbitrary<JsonText> = objectOf({
  materials: listOf(materials, 3),
  policyEvaluations: objectOf({ "CHAINLOOP.ATTESTATION": listOf(evaluations, 3), sbom: listOf(evaluations, 3) }),
  policyEvaluationsCount: counts,
  policyViolationsCount: counts,
  policyPassedCount: counts,
  policyHasViolations: flags,
  policyBlockBypassEnabled: flags,
  policyCheckBlockingStrategy: fc.constantFrom('"ENFORCED"', '"ADVISORY"'),
});
