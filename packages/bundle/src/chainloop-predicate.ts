import { isJsonObject } from "./describe.ts";
import { type Digest, isDigest } from "./digest.ts";
import type { BundleLimits } from "./limits.ts";
import { type PolicySummary, readPolicySummary } from "./policy-summary.ts";
import { isKey, subjectKey } from "./subject-key.ts";

/** What is read of a predicate of Chainloop's. It is what the client says, and nothing of it was checked. */
export type ChainloopPredicate = {
  /** Undefined: it says nothing that is understood. */
  policies: PolicySummary | undefined;
  /** The distinct keys of its materials' digests, as those of subjects; at most limits.subjects. */
  materialKeys: string[];
  /** The digests of the materials that are attestations themselves, each once; the first 100. */
  dependencies: Digest[];
};

const PREDICATE_TYPES = "chainloop.dev/attestation/";
const MATERIAL_TYPE = "chainloop.material.type";
const MOST_DEPENDENCIES = 100;

/**
 * Reads a predicate as the chainloop command line writes it; undefined if the type is another. It is none of a store's
 * business what a predicate holds, so whatever is not as expected in it is left out, and nothing is refused.
 */
export function readChainloopPredicate(
  predicateType: string,
  predicate: unknown,
  limits: BundleLimits,
): ChainloopPredicate | undefined {
  if (!predicateType.startsWith(PREDICATE_TYPES)) {
    return undefined;
  }
  if (!isJsonObject(predicate)) {
    return { policies: undefined, materialKeys: [], dependencies: [] };
  }
  return { policies: readPolicySummary(predicate), ...readMaterials(predicate.materials, limits) };
}

function readMaterials(
  materials: unknown,
  limits: BundleLimits,
): Pick<ChainloopPredicate, "materialKeys" | "dependencies"> {
  const keys = new Set<string>();
  const dependencies = new Set<Digest>();
  for (const material of Array.isArray(materials) ? materials : []) {
    const attestation = isJsonObject(material) && isAttestation(material.annotations);
    for (const key of isJsonObject(material) ? keysOf(material.digest) : []) {
      if (keys.size < limits.subjects) {
        keys.add(key);
      }
      if (attestation && isDigest(key) && dependencies.size < MOST_DEPENDENCIES) {
        dependencies.add(key);
      }
    }
  }
  return { materialKeys: [...keys], dependencies: [...dependencies] };
}

function keysOf(digest: unknown): string[] {
  const entries = isJsonObject(digest) ? Object.entries(digest) : [];
  return entries.flatMap(([algorithm, value]) => {
    const key = typeof value === "string" && algorithm !== "" && value !== "" ? subjectKey(algorithm, value) : "";
    return key !== "" && isKey(key) ? [key] : [];
  });
}

function isAttestation(annotations: unknown): boolean {
  return isJsonObject(annotations) && annotations[MATERIAL_TYPE] === "ATTESTATION";
}
