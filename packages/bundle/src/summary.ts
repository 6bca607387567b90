import type { ParsedBundle } from "./parse-bundle.ts";
import { type Subject, subjectDigests } from "./statement.ts";

/** What a store keeps of a bundle beside its bytes. Small in parts, so that it comes fast from another thread. */
export type BundleSummary = {
  mediaType: string;
  predicateType: string;
  /** To be shown: of the first 100 those that have at most 16 KiB of JSON together. */
  subjects: Subject[];
  /** By which the statement is found: subjectDigests, as a JSON array. There can be tens of thousands. */
  subjectKeysJson: string;
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
