import { describe, expect, test } from "@jest/globals";
import { MAX_KEY_CHARACTERS, parseStatement, subjectDigests, subjectKey } from "../src/index.ts";
import { bytesOf, refusalText, STATEMENT } from "./support.ts";

const DIGEST = { sha256: "ab".repeat(32) };

function withSubjects(...subject: unknown[]): Buffer {
  return bytesOf({ ...STATEMENT, subject });
}

describe("statement", () => {
  test("is read by type, subjects and predicate type", () => {
    expect(parseStatement(bytesOf(STATEMENT))).toEqual({
      type: STATEMENT._type,
      predicateType: STATEMENT.predicateType,
      subjects: [{ name: "widget.tar.gz", uri: "", digests: DIGEST }],
    });
  });

  test.each<[string, unknown]>([
    ["v0.1", { ...STATEMENT, _type: "https://in-toto.io/Statement/v0.1" }],
    ["a predicate that is text", { ...STATEMENT, predicate: "SPDXVersion: SPDX-2.3" }],
    ["a predicate that is a list", { ...STATEMENT, predicate: [1, [2]] }],
    ["a predicate with U+0000 and a lone surrogate", { ...STATEMENT, predicate: "\0\ud800" }],
    ["no predicate", { ...STATEMENT, predicate: undefined }],
    ["a null predicate", { ...STATEMENT, predicate: null }],
    ["fields in other case", { ...STATEMENT, Subject: [], PredicateType: 1, _Type: 2, predicate_type: 3 }],
    ["unknown fields", { ...STATEMENT, "https://example.test/extension": { a: 1 } }],
    ["a byte order mark", `\ufeff${JSON.stringify(STATEMENT)}`],
    ["__proto__", `{"__proto__":{"subject":[]},${JSON.stringify(STATEMENT).slice(1)}`],
  ])("accepts %s", (_, value) => {
    const { predicateType, subjects } = parseStatement(bytesOf(value));
    expect(predicateType).toBe(STATEMENT.predicateType);
    expect(subjects).toEqual([{ name: "widget.tar.gz", uri: "", digests: DIGEST }]);
  });

  test("keeps subjects as they are: repeated, nameless, with a uri", () => {
    const uri = "git+https://git.example.test/acme/widget";
    const gitCommit = "937702a2a5792a87248748194868818f34ecbcce";
    const named = { name: "é\u{1f600}", digest: DIGEST };
    const bytes = withSubjects(
      named,
      named,
      { uri, digest: { gitCommit }, annotations: {} },
      { name: null, digest: DIGEST },
    );
    expect(parseStatement(bytes).subjects).toEqual([
      { name: "é\u{1f600}", uri: "", digests: DIGEST },
      { name: "é\u{1f600}", uri: "", digests: DIGEST },
      { name: "", uri, digests: { gitCommit } },
      { name: "", uri: "", digests: DIGEST },
    ]);
  });

  test("takes any name of an algorithm for a name", () => {
    const text = JSON.stringify(STATEMENT).replace(
      '"sha256"',
      '"__proto__":"x","constructor":"y","toString":"z","sha256"',
    );
    const statement = parseStatement(bytesOf(text));
    const digests = statement.subjects[0]?.digests ?? {};
    expect(Object.keys(digests)).toEqual(["__proto__", "constructor", "toString", "sha256"]);
    expect(Object.getPrototypeOf(digests)).toBeNull();
    expect(subjectDigests(statement).slice(0, 3)).toEqual(["__proto__:x", "constructor:y", "toString:z"]);
  });

  test.each<[string, unknown, RegExp]>([
    ["nothing", "", /^STATEMENT_MALFORMED: .*at byte 0, got the end/],
    ["no JSON", "SPDXVersion: 2.3", /^STATEMENT_MALFORMED: statement: not one JSON object: .*at byte 0, got "S"/],
    ["two statements", `${JSON.stringify(STATEMENT)}\n{}`, /^STATEMENT_MALFORMED: .*expected the end/],
    ["null", "null", /^STATEMENT_MALFORMED: statement: expected an object, got null/],
    ["a list", [STATEMENT], /^STATEMENT_MALFORMED: statement: expected an object, got an array/],
    ["deep", `{"a":${"[".repeat(200_000)}`, /^BUNDLE_TOO_COMPLEX: .*nested deeper than/],
    ["no type", { ...STATEMENT, _type: undefined }, /^STATEMENT_MALFORMED: _type: expected .*v0\.1" or .*got nothing/],
    ["another type", { ...STATEMENT, _type: "https://in-toto.io/Statement/v2" }, /^STATEMENT_MALFORMED: _type: .*v2"/],
    ["http", { ...STATEMENT, _type: "http://in-toto.io/Statement/v1" }, /^STATEMENT_MALFORMED: _type/],
    ["a type that is no text", { ...STATEMENT, _type: ["x"] }, /^STATEMENT_MALFORMED: _type: .*got an array/],
    ["a link", { _type: "link", name: "build" }, /^STATEMENT_MALFORMED: _type: .*got "link"/],
    ["no predicate type", { ...STATEMENT, predicateType: undefined }, /^STATEMENT_MALFORMED: predicateType: .*nothing/],
    ["an empty predicate type", { ...STATEMENT, predicateType: "" }, /^STATEMENT_MALFORMED: predicateType: .*got ""/],
    ["a predicate type in another case", { ...STATEMENT, predicateType: null, PredicateType: "x" }, /got null/],
    ["a predicate type that is no text", { ...STATEMENT, predicateType: {} }, /a string, got an empty object/],
    [
      "a predicate type with U+0000",
      { ...STATEMENT, predicateType: "a\0b" },
      /predicateType: .*U\+0000, got "a\\u0000b"/,
    ],
    [
      "a predicate type with a lone surrogate",
      { ...STATEMENT, predicateType: "\ud800" },
      /lone surrogates, got "\\ud800"/,
    ],
    ["a very long predicate type", { ...STATEMENT, predicateType: "x".repeat(513) }, /at most 512 characters, got 513/],
    [
      "no subject",
      { ...STATEMENT, subject: undefined },
      /^SUBJECT_MISSING: subject: expected one or more, got nothing/,
    ],
    ["a null subject", { ...STATEMENT, subject: null }, /^SUBJECT_MISSING: .*got null/],
    ["an empty list of subjects", { ...STATEMENT, subject: [] }, /^SUBJECT_MISSING: .*got an empty array/],
    ["subjects in another case", { ...STATEMENT, subject: undefined, Subject: STATEMENT.subject }, /^SUBJECT_MISSING/],
    [
      "a subject that is no list",
      { ...STATEMENT, subject: { digest: DIGEST } },
      /^STATEMENT_MALFORMED: subject: .*array/,
    ],
  ])("refuses: %s", (_, value, text) => {
    expect(refusalText(() => parseStatement(bytesOf(value)))).toMatch(text);
  });

  const good = { digest: DIGEST };
  test.each<[string, unknown, RegExp]>([
    ["null", null, /^STATEMENT_MALFORMED: subject\[1\]: expected an object, got null/],
    ["text", "x", /^STATEMENT_MALFORMED: subject\[1\]: expected an object, got "x"/],
    [
      "no digest",
      { name: "x" },
      /^STATEMENT_MALFORMED: subject\[1\]\.digest: expected an object with a digest, got nothing/,
    ],
    ["a null digest", { digest: null }, /subject\[1\]\.digest: .*got null/],
    ["an empty digest", { digest: {} }, /subject\[1\]\.digest: .*got an empty object/],
    ["a digest that is text", { digest: "sha256:00" }, /subject\[1\]\.digest: .*got "sha256:00"/],
    ["a digest that is a list", { digest: ["00"] }, /subject\[1\]\.digest: .*got an array/],
    ["a digest by another name", { Digest: DIGEST, digests: DIGEST }, /subject\[1\]\.digest: .*got nothing/],
    [
      "a value that is a number",
      { digest: { sha256: 1 } },
      /subject\[1\]\.digest\["sha256"\]: .*a string, got the number 1/,
    ],
    ["an empty value", { digest: { sha256: "" } }, /subject\[1\]\.digest\["sha256"\]: expected a digest, got ""/],
    ["a null value", { digest: { sha256: null } }, /subject\[1\]\.digest\["sha256"\]: expected a digest, got null/],
    ["a nameless algorithm", { digest: { "": "00" } }, /subject\[1\]\.digest: expected the name of an algorithm/],
    ["U+0000 in a value", { digest: { sha256: "a\0" } }, /subject\[1\]\.digest\["sha256"\]: .*U\+0000/],
    ["U+0000 in an algorithm", { digest: { "a\0": "00" } }, /subject\[1\]\.digest\["a\\u0000"\]: .*U\+0000/],
    [
      "a lone surrogate in an algorithm",
      { digest: { "\udc00": "00" } },
      /subject\[1\]\.digest\["\\udc00"\]: .*surrogates/,
    ],
    ["U+0000 in a name", { ...good, name: "a\0" }, /subject\[1\]\.name: .*U\+0000/],
    ["a lone surrogate in a name", { ...good, name: "a\ud800b" }, /subject\[1\]\.name: .*surrogates/],
    ["a name that is a number", { ...good, name: 1 }, /subject\[1\]\.name: expected a string, got the number 1/],
    ["U+0000 in a uri", { ...good, uri: "\0" }, /subject\[1\]\.uri: .*U\+0000/],
    ["a uri that is a list", { ...good, uri: [] }, /subject\[1\]\.uri: expected a string, got an empty array/],
    [
      "a long value",
      { digest: { sha256: "0".repeat(506) } },
      /subject\[1\]\.digest\["sha256"\]: .*512 characters, got 513/,
    ],
    ["a long algorithm", { digest: { ["x".repeat(1e6)]: "0" } }, /^STATEMENT_MALFORMED: .{0,300}$/],
  ])("refuses a subject: %s", (_, subject, text) => {
    expect(refusalText(() => parseStatement(withSubjects(good, subject)))).toMatch(text);
  });

  test("bytes that are not UTF-8 are refused", () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    expect(refusalText(() => parseStatement(bytes))).toMatch(/^STATEMENT_MALFORMED: .*not UTF-8/);
    expect(refusalText(() => parseStatement(Buffer.from(JSON.stringify(STATEMENT), "utf16le")))).toMatch(
      /^STATEMENT_MALF/,
    );
  });

  test("the longest key is taken", () => {
    const sha256 = "0".repeat(MAX_KEY_CHARACTERS - "sha256:".length);
    expect(subjectDigests(parseStatement(withSubjects({ digest: { sha256 } })))).toEqual([`sha256:${sha256}`]);
  });
});

describe("subject keys", () => {
  test.each([
    ["sha256", "AB12", "sha256:ab12"],
    ["sha1", "aB", "sha1:ab"],
    ["gitCommit", "DEADBEEF", "gitCommit:deadbeef"],
    ["sha256", "AB:12", "sha256:AB:12"],
    ["sha256", "", "sha256:"],
    ["SHA256", "AB12", "SHA256:AB12"],
    ["gitcommit", "AB", "gitcommit:AB"],
    ["h1", "Khu2En+0gcY=", "h1:Khu2En+0gcY="],
  ])("%s %s", (algorithm, value, key) => {
    expect(subjectKey(algorithm, value)).toBe(key);
  });

  test("are distinct, in their order, and folded where the statement is in upper case", () => {
    const upper = "AB".repeat(32);
    const bytes = withSubjects(
      { digest: { sha512: "CD", sha256: upper } },
      { digest: DIGEST },
      { digest: { sha256: "00" } },
      { digest: DIGEST },
    );
    const statement = parseStatement(bytes);
    expect(subjectDigests(statement)).toEqual(["sha512:cd", `sha256:${DIGEST.sha256}`, "sha256:00"]);
    expect(statement.subjects[0]?.digests.sha256).toBe(upper);
  });

  test("a hundred thousand subjects", () => {
    const subject = Array.from({ length: 100_000 }, (_, i) => ({
      digest: { sha256: i.toString(16).padStart(64, "0") },
    }));
    expect(subjectDigests(parseStatement(withSubjects(...subject)))).toHaveLength(100_000);
  });
});
