import { describe, expect, test } from "@jest/globals";
import { parseBundle, parseStatement } from "../src/index.ts";
import { bundleOf, bytesOf, envelopeOf, type Refusal, refusalOf, STATEMENT, V03 } from "./support.ts";

const bundleText = JSON.stringify(bundleOf());
const forged = JSON.stringify(envelopeOf({ ...STATEMENT, subject: [{ digest: { sha256: "ff" } }] }));
const material = {
  certificate: { rawBytes: "AA==" },
  tlogEntries: [{ logIndex: "1", inclusionProof: { checkpoint: { envelope: "x" } } }],
  timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: "AA==" }] },
};

/** The text with another member before the first that has this name, and where the name then stands again. */
function withBefore(text: string, name: string, member: string): { twice: string; again: number } {
  const at = text.indexOf(`"${name}":`);
  if (at === -1) throw new Error(`no ${name} in ${text}`);
  return { twice: `${text.slice(0, at)}${member},${text.slice(at)}`, again: at + member.length + 1 };
}

/** The same name to whoever reads JSON, with its last character as an escape. */
function escaped(name: string): string {
  return `${name.slice(0, -1)}\\u00${name
    .charCodeAt(name.length - 1)
    .toString(16)
    .toUpperCase()}`;
}

describe("a bundle that has a name twice in one object", () => {
  const whole = JSON.stringify(bundleOf({ verificationMaterial: material }));

  test.each<[string, string]>([
    ["mediaType", '"x"'],
    ["verificationMaterial", "{}"],
    ["dsseEnvelope", forged],
    ["payload", '"e30="'],
    ["payloadType", '"text/plain"'],
    ["signatures", "[]"],
    ["sig", '"AAAA"'],
    ["certificate", "{}"],
    ["rawBytes", '""'],
    ["tlogEntries", "[]"],
    ["logIndex", "2"],
    ["inclusionProof", "{}"],
    ["checkpoint", "null"],
    ["envelope", '"y"'],
    ["signedTimestamp", '""'],
  ])("%s is refused, by escapes too", (name, other) => {
    for (const spelling of [name, escaped(name)]) {
      const { twice, again } = withBefore(whole, name, `"${spelling}" :${other}`);
      const { code, message } = refusalOf(() => parseBundle(bytesOf(twice)));
      const expected = `bundle: expected each name of an object once, got "${name}" again at byte ${again}`;
      expect([code, message]).toEqual(["BUNDLE_MALFORMED", expected]);
    }
  });

  const refusals: Refusal[] = [
    [
      "the last member",
      `${bundleText.slice(0, -1)},"dsseEnvelope":${forged}}`,
      "BUNDLE_MALFORMED",
      /"dsseEnvelope" again/,
    ],
    [
      "of a bare envelope",
      withBefore(JSON.stringify(envelopeOf()), "payload", '"payload":"e30="').twice,
      "BUNDLE_MALFORMED",
      /"payload" again/,
    ],
    ["an unknown name", `{"x":1,"y":2,"x":1,${bundleText.slice(1)}`, "BUNDLE_MALFORMED", /"x" again at byte 13/],
    ["the empty name", `{"":1,"":1,${bundleText.slice(1)}`, "BUNDLE_MALFORMED", /got "" again at byte 6/],
    ["__proto__", `{"__proto__":1,"__proto__":1,${bundleText.slice(1)}`, "BUNDLE_MALFORMED", /"__proto__" again/],
    [
      "after a byte order mark and é",
      `\ufeff{"é":1,"é":1,${bundleText.slice(1)}`,
      "BUNDLE_MALFORMED",
      /again at byte 11/,
    ],
    [
      "predicate, which is no name of bundles",
      `{"predicate":{"a":1,"a":2},${bundleText.slice(1)}`,
      "BUNDLE_MALFORMED",
      /"a" again/,
    ],
    [
      "a long name",
      `{"${"n".repeat(1e6)}":1,"${"n".repeat(1e6)}":1,${bundleText.slice(1)}`,
      "BUNDLE_MALFORMED",
      /1000000 characters/,
    ],
    ["and is not JSON", `{"a":1,"a":1,}`, "BUNDLE_NOT_JSON", /expected a name in quotes at byte 13/],
    ["and is not JSON for an escape", '{"a":1,"a":1,"\\x":1}', "BUNDLE_NOT_JSON", /expected a JSON escape at byte 15/],
    [
      "and is not JSON for an escape of a long one",
      `{"${"n".repeat(300)}\\x":1}`,
      "BUNDLE_NOT_JSON",
      /JSON escape at byte 303/,
    ],
    ["and is too deep", `{"a":1,"a":${"[".repeat(2_000)}`, "BUNDLE_TOO_COMPLEX", /nested deeper/],
  ];
  test.each(refusals)("is refused: %s", (_, input, code, message) => {
    const error = refusalOf(() => parseBundle(bytesOf(input)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.message.length).toBeLessThan(400);
  });

  const everyEscape = '\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\uDE00\\ud800';
  test.each([1, 50])("by any escape of JSON, %d times in a name", (times) => {
    const name = everyEscape.repeat(times);
    const other = JSON.stringify(JSON.parse(`"${name}"`)).replaceAll("/", "\\u002f");
    expect(other).not.toBe(`"${name}"`);
    parseBundle(bytesOf(`{"${name}":1,"${name}n":1,${bundleText.slice(1)}`));
    const text = `{"${name}":1,${other}:1,${bundleText.slice(1)}`;
    expect(refusalOf(() => parseBundle(bytesOf(text))).message).toContain("again at byte ");
  });

  test("as the only of many names, before and after so many that they are kept in another way", () => {
    for (const count of [1, 7, 8, 9, 100]) {
      const names = Array.from({ length: count }, (_, i) => `"n${i}":${i}`).join(",");
      parseBundle(bytesOf(`{${names},${bundleText.slice(1)}`));
      for (const again of ["n0", `n${count - 1}`]) {
        const text = `{${names},"${again}":1,${bundleText.slice(1)}`;
        expect(refusalOf(() => parseBundle(bytesOf(text))).message).toContain(`"${again}" again`);
      }
    }
  });
});

describe("a bundle that has a name in several objects is read", () => {
  test.each<[string, unknown]>([
    ["within one another", { a: { a: { a: 1 }, b: { a: 1 } }, b: [{ a: 1 }, { a: 1 }, [{ a: 1 }]] }],
    ["as a text", { a: "a", b: ['"a":', "a", "a"], c: '\\"a":1,"a":1' }],
    ["in another case, and in a longer one", { a: 1, A: 1, aa: 1, "a ": 1, 'a"': 1, "a\\": 1, "\\u0061": 1 }],
  ])("%s", (_, more) => {
    expect(parseBundle(bytesOf(bundleOf({ verificationMaterial: more }))).verificationMaterial).toEqual(more);
  });
});

describe("a statement that has a name twice", () => {
  const text = JSON.stringify({
    ...STATEMENT,
    subject: [{ digest: { sha1: "ab" } }, { name: "a", digest: { sha256: "ab" }, annotations: { key: 1 } }],
  });

  test.each<[string, string]>([
    ["_type", '"x"'],
    ["subject", "[]"],
    ["predicateType", '"x"'],
    ["predicate", '{"a":1,"a":2}'],
    ["name", '"b"'],
    ["sha256", '"ff"'],
    ["annotations", "{}"],
    ["key", "2"],
  ])("%s is refused, by escapes too", (name, other) => {
    for (const spelling of [name, escaped(name)]) {
      const { twice, again } = withBefore(text, name, `"${spelling}":${other}`);
      const { code, message } = refusalOf(() => parseStatement(bytesOf(twice)));
      const expected = `statement: expected each name of an object once, got "${name}" again at byte ${again}`;
      expect([code, message]).toEqual(["STATEMENT_MALFORMED", expected]);
    }
  });

  test.each<[string, string]>([
    ["within its predicate", '"predicate":{"a":1,"a":2,"b":[{"c":{"d":1,"d":2}}],"subject":1,"subject":2}'],
    ["within it, whose name has escapes", '"pr\\u0065dicate":{"a":1,"a":2}'],
    ["in a list that is its predicate", '"predicate":[{"a":1,"a":2},{"a":1}]'],
  ])("%s is read", (_, predicate) => {
    const { predicate: _own, ...rest } = STATEMENT;
    const others = JSON.stringify(rest).slice(1, -1);
    const plain = parseStatement(bytesOf(STATEMENT));
    expect(parseStatement(bytesOf(`{${predicate},${others}}`))).toEqual(plain);
    expect(parseStatement(bytesOf(`{${others},${predicate}}`))).toEqual(plain);
    // What comes after it is looked at again.
    const twice = `{${predicate},"x":{"y":1,"y":1},${others}}`;
    expect(refusalOf(() => parseStatement(bytesOf(twice))).message).toContain('"y" again');
  });

  test("in the payload of a bundle is refused as the statement's fault", () => {
    const payload = Buffer.from(`{"_type":"x",${JSON.stringify(STATEMENT).slice(1)}`).toString("base64");
    const bytes = bytesOf({ mediaType: V03, dsseEnvelope: envelopeOf(STATEMENT, { payload }) });
    expect(refusalOf(() => parseBundle(bytes)).code).toBe("STATEMENT_MALFORMED");
  });
});

describe("the time that names take", () => {
  /** The least of several, in ms. */
  function least(work: () => unknown): number {
    return Math.min(
      ...Array.from({ length: 5 }, () => {
        const began = performance.now();
        work();
        return performance.now() - began;
      }),
    );
  }
  const named = (count: number, name: (index: number) => string) =>
    bytesOf(`{${Array.from({ length: count }, (_, i) => `"${name(i)}":1,`).join("")}${bundleText.slice(1)}`);

  test.each<[string, (index: number) => string]>([
    ["distinct", (i) => `n${i}`],
    ["numbers", (i) => String(i)],
    ["with escapes", (i) => `\\u0041${i}`],
    ["that begin alike", (i) => `${"n".repeat(100)}${i}`],
  ])("%s: grows with their number, and not with its square", (_, name) => {
    const few = named(10_000, name);
    const many = named(160_000, name);
    const fewMs = least(() => parseBundle(few));
    // 16 times as many; by the square it would be 256 times as long.
    expect(least(() => parseBundle(many))).toBeLessThan(100 * fewMs);
  });
});
