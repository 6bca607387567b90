import { describe, expect, test } from "@jest/globals";
import { DEFAULT_LIMITS, parseBundle, parseStatement } from "../src/index.ts";
import { bundleOf, bytesOf, envelopeOf, refusalOf, STATEMENT } from "./support.ts";

const limits = { jsonDepth: 10, jsonContainers: 200, jsonMembers: 40, signatures: 3, subjects: 4, textCharacters: 20 };
const sha256 = "ab".repeat(32);

function withStatement(changes: object): Buffer {
  return bytesOf(bundleOf({ dsseEnvelope: envelopeOf({ ...STATEMENT, ...changes }) }));
}
function withSignatures(count: number, keyid = "k"): Buffer {
  const signatures = Array.from({ length: count }, () => ({ sig: "c2lnbmF0dXJl", keyid }));
  return bytesOf(bundleOf({ dsseEnvelope: envelopeOf(STATEMENT, { signatures }) }));
}
function subjects(count: number, digest: object = { sha256 }, more: object = {}) {
  return { subject: Array.from({ length: count }, () => ({ digest, ...more })) };
}
function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

describe("a bundle at a limit is read, and one beyond it is refused, with both numbers", () => {
  test.each<[string, Buffer, Buffer, string, string]>([
    ["signatures", withSignatures(3), withSignatures(4), "at most 3 signatures", "4"],
    ["a key id", withSignatures(1, "k".repeat(20)), withSignatures(1, "k".repeat(21)), "at most 20 characters", "21"],
    ["subjects", withStatement(subjects(4)), withStatement(subjects(5)), "at most 4 digests in all", "5"],
    [
      "digests",
      withStatement(subjects(2, { sha256, sha1: "ab" })),
      withStatement(subjects(2, { sha256, sha1: "ab", md5: "ab" })),
      "at most 4 digests in all",
      "6",
    ],
    [
      "a name",
      withStatement(subjects(1, { sha256 }, { name: "n".repeat(20) })),
      withStatement(subjects(1, { sha256 }, { name: "n".repeat(21) })),
      "at most 20 characters",
      "21",
    ],
    [
      "a uri",
      withStatement(subjects(1, { sha256 }, { uri: "u".repeat(20) })),
      withStatement(subjects(1, { sha256 }, { uri: "u".repeat(21) })),
      "at most 20 characters",
      "21",
    ],
  ])("%s", (_, good, bad, expected, actual) => {
    expect(parseBundle(good, limits).mediaType).toContain("sigstore");
    const { code, metadata } = refusalOf(() => parseBundle(bad, limits));
    expect([code, metadata]).toEqual(["BUNDLE_TOO_COMPLEX", { expected, actual }]);
  });

  test("depth, of the bundle and of the statement in it", () => {
    const deepBundle = (depth: number) => bytesOf(bundleOf({ verificationMaterial: { more: nested(depth) } }));
    parseBundle(deepBundle(8), limits);
    expect(refusalOf(() => parseBundle(deepBundle(9), limits)).code).toBe("BUNDLE_TOO_COMPLEX");
    parseBundle(withStatement({ predicate: nested(9) }), limits);
    expect(refusalOf(() => parseBundle(withStatement({ predicate: nested(10) }), limits)).message).toBe(
      "statement: nested deeper than 10 levels",
    );
  });
});

test("members of all objects together, whatever stands in texts", () => {
  const members = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a:${i}`, ":"]));
  // The statement has 9 of its own.
  parseStatement(bytesOf({ ...STATEMENT, more: [members(15), members(16)] }), limits);
  const refused = refusalOf(() => parseStatement(bytesOf({ ...STATEMENT, more: [members(16), members(16)] }), limits));
  expect([refused.code, refused.message]).toEqual(["BUNDLE_TOO_COMPLEX", "statement: more than 40 members of objects"]);
});

test("without limits of a caller's own a hundred thousand signatures are refused before any is read", () => {
  const began = performance.now();
  const { code, metadata } = refusalOf(() => parseBundle(withSignatures(100_000)));
  expect([code, metadata.expected]).toEqual(["BUNDLE_TOO_COMPLEX", `at most ${DEFAULT_LIMITS.signatures} signatures`]);
  // They are read as JSON all the same.
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(parseStatement(bytesOf({ ...STATEMENT, ...subjects(100_000) })).subjects).toHaveLength(100_000);
});
