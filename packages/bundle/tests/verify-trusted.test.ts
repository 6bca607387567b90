import { beforeAll, describe, expect, test } from "@jest/globals";
import { parseBundle, parseTrustPolicy, type TrustMaterial, type TrustPolicy, verifyTrusted } from "../src/index.ts";
import {
  AFTER,
  type Authority,
  authority,
  certificateMaterial,
  DAY,
  ecdsa,
  ecKeys,
  flipped,
  ISSUER,
  type LeafOptions,
  leaf,
  parsed,
  pemOf,
  SIGNER,
  signedBundle,
} from "./signing.ts";
import { fixture, refusalText } from "./support.ts";
import { TransparencyLog, trustedRoot, withEntries } from "./transparency-log.ts";

const NOW = new Date("2026-11-28T12:00:00Z");
const ACTIONS = "https://token.actions.githubusercontent.com";

function policy(material: Partial<TrustMaterial>, rest: Partial<Omit<TrustPolicy, "material">> = {}) {
  return parseTrustPolicy({
    material: { trustedRoots: [], certificateAuthorities: [], publicKeys: [], ...material },
    ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
    ...rest,
  });
}
const text = (name: string) => fixture(name).toString();
const byRoot = (name: string, logs = 1, timestamps = 0) =>
  policy(
    { trustedRoots: [text(`${name}.trusted_root.json`)] },
    { transparencyLogThreshold: logs, timestampThreshold: timestamps },
  );
const publicGood = byRoot("sigstore-public-good");
const customRoot = byRoot("intoto-with-custom-trust-root", 1, 2);
const chainloop = policy({ certificateAuthorities: [text("chainloop-cli-63k.ca.pem")] });

/** The JSON of a fixture, to change. */
function json(name: string) {
  return JSON.parse(text(name));
}

function verdict(bundle: unknown, by = publicGood, at = NOW): string {
  return refusalText(() => verifyTrusted(Buffer.isBuffer(bundle) ? parseBundle(bundle) : parsed(bundle), by, at));
}

describe("real bundles", () => {
  test("of the public-good instance, with its log's time", () => {
    const found = verifyTrusted(parseBundle(fixture("happy-path-intoto-in-dsse-v3.json")), publicGood, NOW);
    expect(found).toEqual({
      signer: expect.stringMatching(/^https:\/\/github\.com\/sigstore-conformance\//),
      issuer: ACTIONS,
      integratedAt: new Date("2024-12-16T18:42:56Z"),
    });
  });

  test("of an instance with a root of its own, a log and a timestamp authority", () => {
    const bundle = parseBundle(fixture("intoto-with-custom-trust-root.json"));
    expect(verifyTrusted(bundle, customRoot, NOW)).toMatchObject({
      issuer: ACTIONS,
      integratedAt: new Date("2023-02-01T00:00:00Z"),
    });
  });

  test("of a private authority, judged at the moment of receipt", () => {
    const bundle = parseBundle(fixture("chainloop-cli-63k.json"));
    const at = (time: string) => () => verifyTrusted(bundle, chainloop, new Date(time));
    expect(at("2026-11-23T23:15:00Z")()).toEqual({ signer: "", issuer: "", integratedAt: undefined });
    for (const late of ["2026-11-23T23:09:00Z", "2026-11-23T23:21:00Z", "2028-01-01T00:00:00Z"])
      expect(refusalText(at(late))).toMatch(/^SIGNER_UNTRUSTED: certificate: .*not valid or expired/);
  });

  test.each([
    ["dsse-invalid-sig_fail.json", publicGood, /^SIGNATURE_INVALID/],
    ["intoto-expired-certificate_fail.json", byRoot("intoto-expired-certificate_fail"), /^SIGNER_UNTRUSTED/],
    ["happy-path-intoto-in-dsse-v3.json", customRoot, /^TRANSPARENCY_LOG_THRESHOLD: .*log c0d23d6ad406973f/],
    ["happy-path-intoto-in-dsse-v3.json", chainloop, /^SIGNER_UNTRUSTED/],
    [
      "intoto-with-custom-trust-root.json",
      byRoot("intoto-with-custom-trust-root", 2, 1),
      /^TRANSPARENCY_LOG_THRESHOLD/,
    ],
    ["intoto-with-custom-trust-root.json", byRoot("intoto-with-custom-trust-root", 1, 3), /^TIMESTAMP_THRESHOLD/],
    ["chainloop-cli-63k.json", publicGood, /^TRANSPARENCY_LOG_THRESHOLD: .*expected 1 of trusted logs, got 0/],
    ["chainloop-v0.3.json", chainloop, /^SIGNER_UNTRUSTED/],
    ["C02-string-predicate.json", chainloop, /^SIGNER_UNTRUSTED/],
    ["C16-v01-no-checkpoint.json", publicGood, /^TRANSPARENCY_LOG_THRESHOLD: log entry/],
    ["C16-v01-no-checkpoint.json", policy({}, { transparencyLogThreshold: 1 }), /^TRANSPARENCY_LOG_.*trusts no log/],
    ["C16-v01-no-checkpoint.json", policy({}), /^SIGNER_UNTRUSTED: .*the policy trusts none/],
  ])("%s is refused", (name, by, refusal) => {
    expect(verdict(fixture(name), by)).toMatch(refusal);
  });
});

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

  test("a time that lies ahead of the moment of receipt", () => {
    const bundle = fixture("happy-path-intoto-in-dsse-v3.json");
    expect(verdict(bundle, publicGood, new Date("2024-12-16T18:30:00Z"))).toMatch(/^TIMESTAMP_THRESHOLD: .*later one/);
    expect(verifyTrusted(parseBundle(bundle), publicGood, new Date("2024-12-16T18:42:00Z")).issuer).toBe(ACTIONS);
  });
});

describe("private authorities", () => {
  const keys = ecKeys();
  let root: Authority;
  let intermediate: Authority;
  let stranger: Authority;
  beforeAll(async () => {
    root = await authority("CN=Root");
    intermediate = await authority("CN=Intermediate", root);
    stranger = await authority("CN=Root");
  });

  async function bundleOf(by: Authority, options: LeafOptions = {}) {
    return signedBundle(certificateMaterial(await leaf(by, keys.publicKey, options)), ecdsa(keys));
  }
  const trusts = (...pems: string[]) => policy({ certificateAuthorities: pems });

  test("a root, or a chain in either order", async () => {
    const found = { signer: SIGNER, issuer: ISSUER, integratedAt: undefined };
    expect(verifyTrusted(parsed(await bundleOf(root)), trusts(root.pem), DAY)).toEqual(found);
    const chained = parsed(await bundleOf(intermediate));
    for (const pems of [
      [intermediate.pem, root.pem],
      [root.pem, intermediate.pem],
    ])
      expect(verifyTrusted(chained, trusts(pems.join("\n")), DAY)).toEqual(found);
    expect(verifyTrusted(chained, trusts(stranger.pem, `${root.pem}\n${intermediate.pem}`), DAY)).toEqual(found);
  });

  test("a trusted root without logs stands beside them", async () => {
    const trustedRoots = [text("sigstore-public-good.trusted_root.json"), trustedRoot({ authorities: [root] })];
    const found = verifyTrusted(parsed(await bundleOf(root)), policy({ trustedRoots }), DAY);
    expect(found).toMatchObject({ signer: SIGNER });
  });

  test("intermediates are the policy's alone: what a bundle brings along is no authority", async () => {
    const certificates = [await leaf(intermediate, keys.publicKey), intermediate.der].map((der) => ({
      rawBytes: der.toString("base64"),
    }));
    const bundle = signedBundle({ x509CertificateChain: { certificates } }, ecdsa(keys));
    expect(verdict(bundle, trusts(root.pem), DAY)).toMatch(/^SIGNER_UNTRUSTED/);
    expect(verifyTrusted(parsed(bundle), trusts(`${intermediate.pem}${root.pem}`), DAY).signer).toBe(SIGNER);
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ["another root of the same name", () => bundleOf(stranger), /got another's$/],
    ["a certificate that has run out", () => bundleOf(root, { notAfter: new Date("2026-06-15T11:59:59Z") }), /expired/],
    ["one that is not good yet", () => bundleOf(root, { notBefore: new Date("2026-06-15T12:00:01Z") }), /not valid/],
    ["one for servers", () => bundleOf(root, { usages: ["1.3.6.1.5.5.7.3.1"] }), /for other uses/],
    [
      "the authority's own certificate",
      async () => signedBundle(certificateMaterial(stranger.der), ecdsa(stranger.keys)),
      /for other uses/,
    ],
  ])("%s is refused", async (_, bundle, message) => {
    const refusal = verdict(await bundle(), trusts(root.pem), DAY);
    expect(refusal).toMatch(/^SIGNER_UNTRUSTED: certificate/);
    expect(refusal).toMatch(message);
  });

  test("a leaf that issues others is no authority", async () => {
    const leafKeys = ecKeys();
    const der = await leaf(root, leafKeys.publicKey);
    const between: Authority = { keys: leafKeys, name: "CN=leaf", pem: "", der };
    const bundle = signedBundle(
      {
        x509CertificateChain: {
          certificates: [await leaf(between, keys.publicKey), der].map((each) => ({
            rawBytes: each.toString("base64"),
          })),
        },
      },
      ecdsa(keys),
    );
    expect(verdict(bundle, trusts(root.pem), DAY)).toMatch(/^SIGNER_UNTRUSTED/);
  });

  test("an authority that has run out is refused with those it issued", async () => {
    const old = await authority("CN=Old", undefined, new Date("2026-06-01T00:00:00Z"));
    expect(verdict(await bundleOf(old), trusts(old.pem), DAY)).toMatch(/^SIGNER_UNTRUSTED: .*expired/);
  });

  test("a timestamp that nobody is trusted for says nothing, and the moment of receipt counts", async () => {
    const bundle = await bundleOf(root);
    const material = {
      ...(bundle.verificationMaterial as object),
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: "AAAA" }] },
    };
    expect(verifyTrusted(parsed({ ...bundle, verificationMaterial: material }), trusts(root.pem), DAY).signer).toBe(
      SIGNER,
    );
    expect(
      verdict({ ...bundle, verificationMaterial: material }, trusts(root.pem), new Date("2028-01-01T00:00:00Z")),
    ).toMatch(/^SIGNER_UNTRUSTED/);
  });

  test("signers have to match one of the patterns, of subject and issuer together", async () => {
    const bundle = parsed(await bundleOf(root));
    const signed = (...signers: TrustPolicy["signers"]) =>
      verifyTrusted(bundle, policy({ certificateAuthorities: [root.pem] }, { signers }), DAY);
    const [acme, other] = ["https://github.com/acme/*", "https://other.example"];
    expect(signed({ subject: acme, issuer: ISSUER }).signer).toBe(SIGNER);
    expect(signed({ subject: other, issuer: "" }, { subject: acme, issuer: "" }).signer).toBe(SIGNER);
    for (const pattern of [
      { subject: acme, issuer: other },
      { subject: other, issuer: ISSUER },
      { subject: "acme", issuer: "" },
    ])
      expect(refusalText(() => signed(pattern))).toMatch(
        /^SIGNER_UNTRUSTED: signer: expected .*patterns matches, got "https:\/\/github.*release/,
      );
  });
});

describe("public keys", () => {
  const keys = ecKeys();
  const trusts = (...trusted: ReturnType<typeof ecKeys>[]) =>
    policy({ publicKeys: trusted.map(({ publicKey }) => pemOf(publicKey)) });

  test.each<[string, unknown]>([
    ["the hint of a key", signedBundle({ publicKey: { hint: "whatever" } }, ecdsa(keys))],
    ["a bundle without material", signedBundle(undefined, ecdsa(keys))],
    ["a bare envelope", signedBundle(undefined, ecdsa(keys)).dsseEnvelope],
  ])("%s is verified by any that is trusted", (_, bundle) => {
    const found = { signer: "", issuer: "", integratedAt: undefined };
    expect(verifyTrusted(parsed(bundle), trusts(ecKeys(), keys), DAY)).toEqual(found);
    expect(verdict(bundle, trusts(ecKeys()), DAY)).toMatch(/^SIGNER_UNTRUSTED: .*by none of the 1 trusted keys/);
    expect(verdict(bundle, trusts(), DAY)).toMatch(/^SIGNER_UNTRUSTED: .*none of the 0/);
  });

  test("a certificate for a trusted key needs no authority, and its names prove nothing", async () => {
    const bundle = signedBundle(
      certificateMaterial(await leaf(await authority("CN=Any"), keys.publicKey)),
      ecdsa(keys),
    );
    expect(verifyTrusted(parsed(bundle), trusts(keys), AFTER)).toEqual({
      signer: "",
      issuer: "",
      integratedAt: undefined,
    });
    const named = policy({ publicKeys: [pemOf(keys.publicKey)] }, { signers: [{ subject: SIGNER, issuer: "" }] });
    expect(verdict(bundle, named, DAY)).toMatch(/^SIGNER_UNTRUSTED: signer/);
  });

  test("every signature has to be by the same trusted key", () => {
    const other = ecKeys();
    const bundle = signedBundle({ publicKey: { hint: "" } }, ecdsa(keys), ecdsa(other));
    expect(verdict(bundle, trusts(keys, other), DAY)).toMatch(/^SIGNER_UNTRUSTED/);
  });

  test("a threshold of logs holds for them too", () => {
    const log = new TransparencyLog();
    const by = policy(
      { publicKeys: [pemOf(keys.publicKey)], trustedRoots: [trustedRoot({ logs: [log] })] },
      { transparencyLogThreshold: 1 },
    );
    const bundle = signedBundle({ publicKey: { hint: "" } }, ecdsa(keys));
    expect(verdict(bundle, by, DAY)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
    const entry = log.entry(bundle, { integratedTime: DAY, verifier: pemOf(keys.publicKey) });
    expect(verifyTrusted(parsed(withEntries(bundle, [entry])), by, DAY).integratedAt).toEqual(DAY);
  });
});

describe("a log", () => {
  const keys = ecKeys();
  const log = new TransparencyLog();
  let root: Authority;
  let bundle: Record<string, unknown>;
  let by: ReturnType<typeof policy>;
  const verifier = pemOf(keys.publicKey);
  beforeAll(async () => {
    root = await authority("CN=Root");
    const minutes = { notBefore: new Date("2026-06-15T11:55:00Z"), notAfter: new Date("2026-06-15T12:05:00Z") };
    bundle = signedBundle(certificateMaterial(await leaf(root, keys.publicKey, minutes)), ecdsa(keys));
    by = policy({ trustedRoots: [trustedRoot({ logs: [log], authorities: [root] })] }, { transparencyLogThreshold: 1 });
  });
  const entry = (options: object = {}) => log.entry(bundle, { integratedTime: DAY, verifier, ...options });

  test("lends its time to the certificate", () => {
    expect(verifyTrusted(parsed(withEntries(bundle, [entry()])), by, NOW)).toEqual({
      ...{ signer: SIGNER, issuer: ISSUER },
      integratedAt: DAY,
    });
  });

  test("lends none without a promise: the proof has no time", () => {
    const proven = { ...entry(), inclusionPromise: undefined };
    expect(verdict(withEntries(bundle, [proven]), by, NOW)).toMatch(/^SIGNER_UNTRUSTED: .*expired/);
    expect(verifyTrusted(parsed(withEntries(bundle, [proven])), by, DAY).integratedAt).toBeUndefined();
  });

  test("of v0.1 promises; its proof counts only with a checkpoint", () => {
    const v01 = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    const { inclusionProof, inclusionPromise, ...bare } = entry();
    const { checkpoint: _, ...proof } = inclusionProof;
    const verified = (tlogEntry: object) =>
      verifyTrusted(parsed(withEntries(bundle, [tlogEntry], v01)), by, NOW).signer;
    expect(verified({ ...bare, inclusionPromise })).toBe(SIGNER);
    expect(verified({ ...bare, inclusionPromise, inclusionProof: proof })).toBe(SIGNER);
    expect(verdict(withEntries(bundle, [{ ...bare, inclusionProof }], v01), by)).toMatch(
      /^VERIFICATION_MATERIAL_INVALID/,
    );
    const wrong = { ...inclusionProof, hashes: [] };
    expect(verdict(withEntries(bundle, [{ ...bare, inclusionPromise, inclusionProof: wrong }], v01), by)).toMatch(
      /^TRANSPARENCY_LOG/,
    );
  });

  const stranger = new TransparencyLog();
  test.each<[string, () => unknown, RegExp]>([
    [
      "an entry of a log that nobody trusts",
      () => stranger.entry(bundle, { integratedTime: DAY, verifier }),
      /one of the log/,
    ],
    [
      "a good entry beside one of those",
      () => [entry(), stranger.entry(bundle, { integratedTime: DAY })],
      /one of the log/,
    ],
    [
      "another log's promise",
      () => ({ ...entry(), inclusionPromise: stranger.entry(bundle, { integratedTime: DAY }).inclusionPromise }),
      /promise/,
    ],
    [
      "another log's checkpoint",
      () => ({
        ...entry(),
        inclusionProof: {
          ...entry().inclusionProof,
          checkpoint: { envelope: log.checkpoint(Buffer.from(entry().inclusionProof.rootHash, "base64"), stranger) },
        },
      }),
      /checkpoint/,
    ],
    [
      "a checkpoint of another tree",
      () => ({
        ...entry(),
        inclusionProof: { ...entry().inclusionProof, checkpoint: { envelope: log.checkpoint(Buffer.alloc(32)) } },
      }),
      /root hash/,
    ],
    ["an entry for another payload", () => entry({ payload: Buffer.from("other") }), /payload hash/i],
    ["an entry for another signature", () => entry({ signature: "AAAA" }), /signature mismatch/],
    ["an entry by another key", () => entry({ verifier: pemOf(ecKeys().publicKey) }), /signer's key/],
    ["an entry by what is no key", () => entry({ verifier: "nobody" }), /signer's key/],
  ])("%s is refused", (_, forged, message) => {
    const entries = [forged()].flat();
    const refusal = verdict(withEntries(bundle, entries), by, NOW);
    expect(refusal).toMatch(/^TRANSPARENCY_LOG_THRESHOLD: log entr/);
    expect(refusal).toMatch(message);
  });

  test("that took it in after the certificate ran out is refused", () => {
    const late = entry({ integratedTime: new Date("2026-06-15T12:06:00Z") });
    expect(verdict(withEntries(bundle, [late]), by, NOW)).toMatch(/^SIGNER_UNTRUSTED: .*expired/);
  });

  test("two of two: each has to be good, and each counts", () => {
    const second = new TransparencyLog();
    const both = policy(
      { trustedRoots: [trustedRoot({ logs: [log, second], authorities: [root] })] },
      { transparencyLogThreshold: 2, timestampThreshold: 2 },
    );
    const other = second.entry(bundle, { integratedTime: new Date(DAY.getTime() + 1000), verifier });
    expect(verifyTrusted(parsed(withEntries(bundle, [other, entry()])), both, NOW).integratedAt).toEqual(DAY);
    expect(verdict(withEntries(bundle, [entry()]), both, NOW)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
    expect(verdict(withEntries(bundle, [entry(), entry()]), both, NOW)).toMatch(/duplicate/);
  });

  test("of certificates: where the root has some, a certificate without its receipt is refused", () => {
    const strict = policy({
      trustedRoots: [trustedRoot({ logs: [log], ctLogs: [new TransparencyLog()], authorities: [root] })],
    });
    expect(verdict(withEntries(bundle, [entry()]), strict, NOW)).toMatch(
      /^SIGNER_UNTRUSTED: certificate: expected 1 SCTs, got 0/,
    );
  });

  test("of certificates whose key is another refuses their receipts", () => {
    const root = JSON.parse(text("sigstore-public-good.trusted_root.json"));
    for (const ctlog of root.ctlogs) ctlog.publicKey.rawBytes = new TransparencyLog().instance.publicKey.rawBytes;
    const strict = policy({ trustedRoots: [JSON.stringify(root)] });
    expect(verdict(fixture("happy-path-intoto-in-dsse-v3.json"), strict)).toMatch(/^SIGNER_UNTRUSTED: .*SCT/);
  });
});
