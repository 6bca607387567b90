import type { Digest } from "./digest.ts";
import type { ParsedBundle } from "./parse-bundle.ts";
import type { PolicySummary } from "./policy-summary.ts";
import { type Subject, subjectDigests } from "./statement.ts";

/** What a store keeps of a bundle beside its bytes. Small in parts, so that it comes fast from another thread. */
export type BundleSummary = {
  mediaType: string;
  predicateType: string;
  /** To be shown: of the first 100 those that have at most 16 KiB of JSON together. */
  subjects: Subject[];
  /** By which the statement is found: subjectDigests, as a JSON array. There can be tens of thousands. */
  subjectKeysJson: string;
  /** Of a predicate of Chainloop's; undefined for others, and for one that is not understood. */
  policies: PolicySummary | undefined;
  /** The same of the materials that such a predicate names; "[]" for others. */
  materialKeysJson: string;
  /** The attestations that such a predicate names as materials; at most 100. */
  dependencies: Digest[];
};

const SHOWN_SUBJECTS = 100;
export const SHOWN_BYTES: number = 16 * 1024;

/** The summary of a bundle. Pure. */
export function summarize({ mediaType, statement }: ParsedBundle): BundleSummary {
  return {
    mediaType,
    predicateType: statement.predicateType,
    subjects: firstSubjects(statement.subjects, SHOWN_BYTES),
    subjectKeysJson: JSON.stringify(subjectDigests(statement)),
    policies: statement.chainloop?.policies,
    materialKeysJson: JSON.stringify(statement.chainloop?.materialKeys ?? []),
    dependencies: statement.chainloop?.dependencies ?? [],
  };
}

/** Of the first 100 subjects those that have at most so many bytes of JSON together. */
export function firstSubjects(subjects: readonly Subject[], mostBytes: number): Subject[] {
  let bytes = 0;
  return subjects.slice(0, SHOWN_SUBJECTS).filter((subject) => {
    bytes += Buffer.byteLength(JSON.stringify(subject));
    return bytes <= mostBytes;
  });
}
