import { type ChainloopPredicate, readChainloopPredicate } from "./chainloop-predicate.ts";
import { describe, isJsonObject, type JsonObject, kindOf, quote } from "./describe.ts";
import { BundleError, mismatch } from "./error.ts";
import { decodeUtf8, readJson } from "./json-text.ts";
import { type BundleLimits, DEFAULT_LIMITS, tooComplex } from "./limits.ts";
import { MAX_KEY_CHARACTERS, subjectKey } from "./subject-key.ts";

/** A software artifact that a statement is about. */
export type Subject = {
  /** Empty if the statement has none. */
  name: string;
  /** Empty if the statement has none. */
  uri: string;
  /** Algorithm to value, as in the statement; one or more. Without a prototype, so any name is just a name. */
  digests: Record<string, string>;
};

/** What is read of an in-toto statement. The predicate is none of our business and stays in the payload, but for Chainloop's. */
export type Statement = {
  type: StatementType;
  predicateType: string;
  /** One or more, as in the statement; the same one may come again. */
  subjects: Subject[];
  /** Undefined: the predicate is of another type. */
  chainloop: ChainloopPredicate | undefined;
};

const STATEMENT_TYPES = ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"] as const;

export type StatementType = (typeof STATEMENT_TYPES)[number];

/**
 * Reads an in-toto statement, v0.1 or v1 (in-toto/attestation, spec/v1/statement.md and resource_descriptor.md): only
 * `_type`, `subject` and `predicateType`, by their exact names. A subject needs a digest; its name and uri are
 * optional, in v0.1 as well. Of the predicate, what readChainloopPredicate reads. What a database must index or keep as text is bounded and free of U+0000 and lone
 * surrogates.
 *
 * @throws BundleError STATEMENT_MALFORMED, SUBJECT_MISSING or BUNDLE_TOO_COMPLEX.
 */
export function parseStatement(payload: Uint8Array, limits: BundleLimits = DEFAULT_LIMITS): Statement {
  const statement = readStatement(payload, limits);
  const type = readType(statement._type);
  const predicateType = readText(statement.predicateType, "predicateType");
  if (predicateType === "") {
    const actual = describe(statement.predicateType);
    throw mismatch("STATEMENT_MALFORMED", "predicateType", "a type URI", actual);
  }
  if (predicateType.length > MAX_KEY_CHARACTERS) {
    throw tooLong("predicateType", predicateType.length);
  }
  const subjects = readSubjects(statement.subject, limits);
  const chainloop = readChainloopPredicate(predicateType, statement.predicate, limits);
  return { type, predicateType, subjects, chainloop };
}

/**
 * The distinct keys by which the statement is found: subjectKey of each digest of each subject, in their order.
 */
export function subjectDigests(statement: Statement): string[] {
  const keys = new Set<string>();
  for (const { digests } of statement.subjects) {
    for (const algorithm of Object.keys(digests)) {
      keys.add(subjectKey(algorithm, digests[algorithm] ?? ""));
    }
  }
  return [...keys];
}

function readStatement(payload: Uint8Array, limits: BundleLimits): JsonObject {
  const text = decodeUtf8(payload);
  if (text === undefined) {
    throw mismatch("STATEMENT_MALFORMED", "statement", "JSON in UTF-8", "bytes that are not UTF-8");
  }
  // Real predicates hold odd things, and what they mean is between who wrote and who reads them: within one, a name may
  // stand twice. What is read of Chainloop's is the last, as its own reader does.
  const json = readJson(text, limits, { except: "predicate" });
  if ("problem" in json && json.problem === "excess") {
    throw new BundleError("BUNDLE_TOO_COMPLEX", `statement: ${json.reason}`);
  }
  if ("problem" in json && json.problem === "repeated") {
    throw new BundleError("STATEMENT_MALFORMED", `statement: ${json.reason}`);
  }
  if ("problem" in json) {
    throw new BundleError("STATEMENT_MALFORMED", `statement: not one JSON object: ${json.reason}`);
  }
  if (!isJsonObject(json.value)) {
    throw mismatch("STATEMENT_MALFORMED", "statement", "an object", kindOf(json.value));
  }
  return json.value;
}

function readType(value: unknown): StatementType {
  const type = STATEMENT_TYPES.find((known) => known === value);
  if (type === undefined) {
    throw mismatch("STATEMENT_MALFORMED", "_type", STATEMENT_TYPES.map(quote).join(" or "), describe(value));
  }
  return type;
}

function readSubjects(value: unknown, limits: BundleLimits): Subject[] {
  const subjects = value ?? [];
  if (!Array.isArray(subjects)) {
    throw mismatch("STATEMENT_MALFORMED", "subject", "an array", describe(subjects));
  }
  if (subjects.length === 0) {
    throw mismatch("SUBJECT_MISSING", "subject", "one or more", describe(value));
  }
  let digests = subjects.length;
  checkSubjects(digests, limits);
  return subjects.map((subject, index) => {
    const read = readSubject(subject, index, limits);
    digests += Object.keys(read.digests).length - 1;
    checkSubjects(digests, limits);
    return read;
  });
}

function checkSubjects(digests: number, limits: BundleLimits): void {
  if (digests > limits.subjects) {
    throw tooComplex("subject", limits.subjects, "digests in all", digests);
  }
}

function readSubject(value: unknown, index: number, limits: BundleLimits): Subject {
  if (!isJsonObject(value)) {
    throw mismatch("STATEMENT_MALFORMED", `subject[${index}]`, "an object", describe(value));
  }
  return {
    name: readBounded(value.name, "name", index, limits),
    uri: readBounded(value.uri, "uri", index, limits),
    digests: readDigests(value.digest, index),
  };
}

function readBounded(value: unknown, field: string, index: number, { textCharacters }: BundleLimits): string {
  const text = readText(value, field, index);
  if (text.length > textCharacters) {
    throw tooComplex(placeOf(field, index), textCharacters, "characters", text.length);
  }
  return text;
}

function readDigests(value: unknown, index: number): Record<string, string> {
  const algorithms = isJsonObject(value) ? Object.keys(value) : [];
  if (!isJsonObject(value) || algorithms.length === 0) {
    throw mismatch("STATEMENT_MALFORMED", placeOf("digest", index), "an object with a digest", describe(value));
  }
  const digests: Record<string, string> = Object.create(null);
  for (const algorithm of algorithms) {
    if (algorithm === "") {
      throw mismatch("STATEMENT_MALFORMED", placeOf("digest", index), "the name of an algorithm", '""');
    }
    readText(algorithm, "digest", index, algorithm);
    const digest = readText(value[algorithm], "digest", index, algorithm);
    if (digest === "") {
      const place = placeOf("digest", index, algorithm);
      throw mismatch("STATEMENT_MALFORMED", place, "a digest", describe(value[algorithm]));
    }
    const keyLength = algorithm.length + 1 + digest.length;
    if (keyLength > MAX_KEY_CHARACTERS) {
      throw tooLong(placeOf("digest", index, algorithm), keyLength);
    }
    digests[algorithm] = digest;
  }
  return digests;
}

// Unset and null are the empty text, as in proto3 JSON. The place is put together only for a refusal: a statement may
// have a hundred thousand subjects.
function readText(value: unknown, field: string, index?: number, algorithm?: string): string {
  const text = value ?? "";
  if (typeof text !== "string") {
    throw mismatch("STATEMENT_MALFORMED", placeOf(field, index, algorithm), "a string", describe(text));
  }
  // PostgreSQL's text holds neither, and JSON escapes can write both.
  if (text.includes("\0")) {
    const expected = "a text without U+0000";
    throw mismatch("STATEMENT_MALFORMED", placeOf(field, index, algorithm), expected, quote(text));
  }
  if (!text.isWellFormed()) {
    const expected = "a text without lone surrogates";
    throw mismatch("STATEMENT_MALFORMED", placeOf(field, index, algorithm), expected, quote(text));
  }
  return text;
}

function placeOf(field: string, index?: number, algorithm?: string): string {
  const entry = algorithm === undefined ? "" : `[${quote(algorithm)}]`;
  return index === undefined ? field : `subject[${index}].${field}${entry}`;
}

function tooLong(place: string, length: number): BundleError {
  return mismatch("STATEMENT_MALFORMED", place, `at most ${MAX_KEY_CHARACTERS} characters`, `${length} characters`);
}
