import { BundleError } from "./error.ts";

/** How large the parts of a bundle may be; the bytes as a whole are for the caller to bound. */
export type BundleLimits = {
  /** How deeply objects and arrays may stand in each other; encoders of protobuf and SBOMs stay far below it. */
  jsonDepth: number;
  /** How many objects and arrays a text may have in all. An SBOM of 32 MiB has about a third of it. */
  jsonContainers: number;
  /** How many members, a name with a value, all objects of a text may have together. Distinct names take 1.1 µs each. */
  jsonMembers: number;
  /** Of the envelope: each is checked. */
  signatures: number;
  /** Digests of all subjects together, of which each has one or more: each becomes a row. */
  subjects: number;
  /** Of a name, an address, or a key id, in characters. */
  textCharacters: number;
};

/** For a caller that gives none. */
export const DEFAULT_LIMITS: Readonly<BundleLimits> = {
  jsonDepth: 1_000,
  jsonContainers: 1_000_000,
  jsonMembers: 2_000_000,
  signatures: 100,
  subjects: 100_000,
  textCharacters: 65_536,
};

/** What is larger than its limit. */
export function tooComplex(what: string, most: number, unit: string, actual: number): BundleError {
  return new BundleError("BUNDLE_TOO_COMPLEX", `${what}: expected at most ${most} ${unit}, got ${actual}`, {
    metadata: { expected: `at most ${most} ${unit}`, actual: String(actual) },
  });
}
