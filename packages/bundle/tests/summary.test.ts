import { expect, test } from "@jest/globals";
import { parseBundle, SHOWN_BYTES, subjectDigests, summarize } from "../src/index.ts";
import { fixture } from "./support.ts";

const parsed = parseBundle(fixture("C05-same-subject-twice.json"));
const subject = (n: number, name = "a") => ({ name, uri: "", digests: { sha256: String(n) } });
const withSubjects = (subjects: ReturnType<typeof subject>[]) =>
  summarize({ ...parsed, statement: { ...parsed.statement, subjects } });

test("a summary has what a statement is found by, each key once", () => {
  const summary = summarize(parsed);
  expect(summary).toMatchObject({ mediaType: parsed.mediaType, predicateType: parsed.statement.predicateType });
  expect(JSON.parse(summary.subjectKeysJson)).toEqual(subjectDigests(parsed.statement));
});

test("a summary shows the first 100 subjects, as far as they have room, and finds by all", () => {
  const many = withSubjects(Array.from({ length: 150 }, (_, n) => subject(n)));
  expect(many.subjects).toEqual(Array.from({ length: 100 }, (_, n) => subject(n)));
  expect(JSON.parse(many.subjectKeysJson)).toHaveLength(150);
  const wide = withSubjects([subject(1), subject(2, "x".repeat(SHOWN_BYTES)), subject(3)]);
  expect(wide.subjects).toEqual([subject(1)]);
  expect(JSON.parse(wide.subjectKeysJson)).toEqual(["sha256:1", "sha256:2", "sha256:3"]);
});
