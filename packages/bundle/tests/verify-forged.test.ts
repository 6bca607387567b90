import { describe, expect, test } from "@jest/globals";
import { BundleError, parseBundle, verifyTrusted } from "../src/index.ts";
import { flipped, parsed } from "./signing.ts";
import { fixture } from "./support.ts";
import { ACTIONS, customRoot, json, NOW, publicGood, verdict } from "./trusting.ts";

describe("forged from a real one", () => {
  const good = () => json("happy-path-intoto-in-dsse-v3.json");
  const custom = () => json("intoto-with-custom-trust-root.json");
  const turned = (value: string, at = -1) => flipped(Buffer.from(value, "base64"), at).toString("base64");
  type Forged = ReturnType<typeof json>;
  const entry = (bundle: Forged) => bundle.verificationMaterial.tlogEntries[0];

  const forgeries: [what: string, change: (bundle: Forged) => void, refusal: RegExp][] = [
    ["no log entry", (b) => delete b.verificationMaterial.tlogEntries, /^TRANSPARENCY_LOG_THRESHOLD: .*got 0/],
    ["an empty list of them", (b) => (b.verificationMaterial.tlogEntries = []), /^TRANSPARENCY_LOG_THRESHOLD/],
    [
      "the same entry twice",
      (b) => b.verificationMaterial.tlogEntries.push(entry(b)),
      /^T(RANSPARENCY_LOG|IMESTAMP)_THRESHOLD: .*duplicate/,
    ],
    ["an entry that is null", (b) => (b.verificationMaterial.tlogEntries = [null]), /^VERIFICATION_MATERIAL_INVALID/],
    ["17 entries", (b) => (b.verificationMaterial.tlogEntries = Array(17).fill(entry(b))), /at most 16, got 17/],
    ["another log's id", (b) => (entry(b).logId.keyId = turned(entry(b).logId.keyId)), /^TRANSPARENCY_LOG_THRESHOLD/],
    ["an entry without a log's id", (b) => delete entry(b).logId, /^VERIFICATION_MATERIAL_INVALID: .*logId/],
    ["an entry without a kind", (b) => (entry(b).kindVersion = null), /^VERIFICATION_MATERIAL_INVALID: .*kindVersion/],
    [
      "another promise",
      (b) => (entry(b).inclusionPromise.signedEntryTimestamp = turned(entry(b).inclusionPromise.signedEntryTimestamp)),
      /^TRANSPARENCY_LOG_THRESHOLD: .*promise/,
    ],
    [
      "another time",
      (b) => (entry(b).integratedTime = String(Number(entry(b).integratedTime) + 1)),
      /^TRANSPARENCY_LOG_THRESHOLD: .*promise/,
    ],
    ["another index", (b) => (entry(b).logIndex = "7"), /^TRANSPARENCY_LOG_THRESHOLD: .*promise/],
    ["an index that is no number", (b) => (entry(b).inclusionProof.logIndex = "x"), /^VERIFICATION_MATERIAL_INVALID/],
    ["a negative index", (b) => (entry(b).inclusionProof.logIndex = "-1"), /^VERIFICATION_MATERIAL_INVALID/],
    ["another place in the tree", (b) => (entry(b).inclusionProof.logIndex = "5"), /^TRANSPARENCY_LOG_THRESHOLD/],
    [
      "another hash on the way",
      (b) => (entry(b).inclusionProof.hashes[0] = turned(entry(b).inclusionProof.hashes[0])),
      /^TRANSPARENCY_LOG_THRESHOLD: .*root hash/,
    ],
    ["a hash too few", (b) => entry(b).inclusionProof.hashes.pop(), /^TRANSPARENCY_LOG_THRESHOLD: .*hash count/],
    [
      "no proof",
      (b) => delete entry(b).inclusionProof,
      /^VERIFICATION_MATERIAL_INVALID: .*inclusionProof with a checkpoint/,
    ],
    ["no checkpoint", (b) => delete entry(b).inclusionProof.checkpoint, /^VERIFICATION_MATERIAL_INVALID: .*checkpoint/],
    [
      "an empty checkpoint",
      (b) => (entry(b).inclusionProof.checkpoint = {}),
      /^TRANSPARENCY_LOG_THRESHOLD: .*checkpoint/,
    ],
    [
      "another root in the checkpoint",
      (b) =>
        (entry(b).inclusionProof.checkpoint.envelope = entry(b).inclusionProof.checkpoint.envelope.replace(
          "ZrYR",
          "ZrYS",
        )),
      /^TRANSPARENCY_LOG_THRESHOLD: .*checkpoint signature/,
    ],
    [
      "another size in the checkpoint",
      (b) =>
        (entry(b).inclusionProof.checkpoint.envelope = entry(b).inclusionProof.checkpoint.envelope.replace(
          "33786589",
          "many",
        )),
      /^TRANSPARENCY_LOG_THRESHOLD: .*log size/,
    ],
    [
      "the hint of another key in the checkpoint",
      (b) =>
        (entry(b).inclusionProof.checkpoint.envelope = entry(b).inclusionProof.checkpoint.envelope.replace(
          "wNI9aj",
          "wNI9bj",
        )),
      /^TRANSPARENCY_LOG_THRESHOLD: .*checkpoint signature/,
    ],
    [
      "another body",
      (b) => (entry(b).canonicalizedBody = turned(entry(b).canonicalizedBody)),
      /^TRANSPARENCY_LOG_THRESHOLD/,
    ],
    ["no body", (b) => delete entry(b).canonicalizedBody, /^TRANSPARENCY_LOG_THRESHOLD/],
    [
      "another payload",
      (b) =>
        (b.dsseEnvelope.payload = Buffer.from(
          Buffer.from(b.dsseEnvelope.payload, "base64").toString().replace("predicate", "Predicate"),
        ).toString("base64")),
      /^(SIGNATURE_INVALID|STATEMENT_MALFORMED)/,
    ],
    [
      "another signature",
      (b) => (b.dsseEnvelope.signatures[0].sig = turned(b.dsseEnvelope.signatures[0].sig)),
      /^SIGNATURE_INVALID/,
    ],
    [
      "the signature twice",
      (b) => b.dsseEnvelope.signatures.push({ sig: turned(b.dsseEnvelope.signatures[0].sig) }),
      /^SIGNATURE_INVALID/,
    ],
    [
      "a certificate whose signature is another",
      (b) => (b.verificationMaterial.certificate.rawBytes = turned(b.verificationMaterial.certificate.rawBytes)),
      /^SIGNER_UNTRUSTED/,
    ],
    [
      "no certificate",
      (b) => delete b.verificationMaterial.certificate,
      /^SIGNER_UNTRUSTED: signatures without a certificate/,
    ],
    [
      "a hint for a certificate",
      (b) => (b.verificationMaterial = { ...b.verificationMaterial, certificate: undefined, publicKey: { hint: "x" } }),
      /^SIGNER_UNTRUSTED/,
    ],
    [
      "an empty chain",
      (b) =>
        (b.verificationMaterial = {
          ...b.verificationMaterial,
          certificate: undefined,
          x509CertificateChain: { certificates: [] },
        }),
      /^VERIFICATION_MATERIAL_INVALID/,
    ],
    [
      "another's certificate",
      (b) => (b.verificationMaterial.certificate = json("C02-string-predicate.json").verificationMaterial.certificate),
      /^SIGNATURE_INVALID/,
    ],
    [
      "another's log entry",
      (b) => (b.verificationMaterial.tlogEntries = json("dsse-invalid-sig_fail.json").verificationMaterial.tlogEntries),
      /^(TRANSPARENCY_LOG_THRESHOLD|SIGNER_UNTRUSTED)/,
    ],
  ];
  test.each(forgeries)("%s", (_, change, refusal) => {
    const bundle = good();
    change(bundle);
    expect(verdict(bundle)).toMatch(refusal);
  });

  const times = (bundle: Forged) => bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps;
  const forgedTimes: [what: string, change: (bundle: Forged) => void, refusal: RegExp][] = [
    ["no timestamp", (b) => times(b).pop(), /^TIMESTAMP_THRESHOLD: .*expected 2 .*got 1/],
    ["no timestamps", (b) => delete b.verificationMaterial.timestampVerificationData, /^TIMESTAMP_THRESHOLD/],
    ["the same timestamp twice", (b) => times(b).push(times(b)[0]), /^TIMESTAMP_THRESHOLD: .*duplicate/],
    [
      "another signature of the time",
      (b) => (times(b)[0].signedTimestamp = turned(times(b)[0].signedTimestamp)),
      /^TIMESTAMP_THRESHOLD/,
    ],
    [
      "a timestamp that is none",
      (b) => (times(b)[0].signedTimestamp = "AAAA"),
      /^(VERIFICATION_MATERIAL_INVALID|TIMESTAMP_THRESHOLD)/,
    ],
    ["an empty timestamp", (b) => (times(b)[0] = {}), /^VERIFICATION_MATERIAL_INVALID/],
    [
      "a timestamp of another signature",
      (b) => {
        b.dsseEnvelope.signatures = json("intoto-expired-certificate_fail.json").dsseEnvelope.signatures;
      },
      /^SIGNATURE_INVALID/,
    ],
  ];
  test.each(forgedTimes)("%s", (_, change, refusal) => {
    const bundle = custom();
    change(bundle);
    expect(verdict(bundle, customRoot)).toMatch(refusal);
  });

  test("each byte of a timestamp turned is refused with a reason", () => {
    const bundle = custom();
    const der = Buffer.from(times(bundle)[0].signedTimestamp, "base64");
    const codes = new Set<string>();
    for (let at = 0; at < der.length; at += 3) {
      times(bundle)[0].signedTimestamp = flipped(der, at).toString("base64");
      try {
        verifyTrusted(parsed(bundle), customRoot, NOW);
        codes.add("verified");
      } catch (error) {
        codes.add((error as { code?: string }).code ?? String(error));
      }
    }
    // The status and such are not signed.
    expect(
      [...codes].filter((code) => !/^(verified|TIMESTAMP_THRESHOLD|VERIFICATION_MATERIAL_INVALID)$/.test(code)),
    ).toEqual([]);
    expect(codes).toContain("TIMESTAMP_THRESHOLD");
  });

  test("numbers, proofs and timestamps without end are refused before they are read", () => {
    const [endless, many] = [good(), good()];
    const checkpoint = entry(endless).inclusionProof.checkpoint;
    checkpoint.envelope = checkpoint.envelope.replace("33786589", "9".repeat(4e6));
    entry(many).inclusionProof.hashes = Array(65).fill(entry(many).inclusionProof.hashes[0]);
    const before = process.cpuUsage();
    expect(verdict(endless)).toMatch(/^VERIFICATION_MATERIAL_INVALID: .*at most 65536 characters/);
    expect(verdict(many)).toMatch(/^VERIFICATION_MATERIAL_INVALID: .*hashes: expected at most 64, got 65/);
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
    const long = custom();
    times(long)[0].signedTimestamp = Buffer.alloc(100_000).toString("base64");
    expect(verdict(long, customRoot)).toMatch(/^VERIFICATION_MATERIAL_INVALID: .*at most 65536 bytes, got 100000/);
  });

  test("whatever stands in the place of a value: verified or refused with a reason, never another error", () => {
    const odd = [null, "", -1, 2 ** 53, [], {}, [null], "AAAA", "9".repeat(30), "constructor"];
    const reasons = new Set<string>();
    for (const [fixtureOf, by] of [
      [good, publicGood],
      [custom, customRoot],
    ] as const) {
      for (const path of pathsOf(fixtureOf().verificationMaterial)) {
        for (const value of odd) {
          const bundle = fixtureOf();
          const parent = path.slice(0, -1).reduce((at, step) => at[step], bundle.verificationMaterial);
          parent[path.at(-1) ?? ""] = value;
          try {
            verifyTrusted(parsed(bundle), by, NOW);
          } catch (error) {
            reasons.add(error instanceof BundleError ? error.code : String((error as Error).stack));
          }
        }
      }
    }
    const expected = ["SIGNER_UNTRUSTED", "TIMESTAMP_THRESHOLD", "TRANSPARENCY_LOG_THRESHOLD"];
    expect([...reasons].sort()).toEqual([...expected, "VERIFICATION_MATERIAL_INVALID"]);
  });

  /** The paths of all values below an object, its own excepted. */
  function pathsOf(value: unknown): string[][] {
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([name, child]) => [[name], ...pathsOf(child).map((path) => [name, ...path])]);
  }

  test("a time that lies ahead of the moment of receipt", () => {
    const bundle = fixture("happy-path-intoto-in-dsse-v3.json");
    expect(verdict(bundle, publicGood, new Date("2024-12-16T18:30:00Z"))).toMatch(/^TIMESTAMP_THRESHOLD: .*later one/);
    expect(verifyTrusted(parseBundle(bundle), publicGood, new Date("2024-12-16T18:42:00Z")).issuer).toBe(ACTIONS);
  });
});
