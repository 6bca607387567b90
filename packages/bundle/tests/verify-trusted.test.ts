import { existsSync } from "node:fs";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { parseBundle, type TrustPolicy, verifyTrusted } from "../src/index.ts";
import {
  AFTER,
  type Authority,
  authority,
  certificateMaterial,
  DAY,
  ecdsa,
  ecKeys,
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
import { ACTIONS, byRoot, chainloop, customRoot, NOW, policy, publicGood, text, verdict } from "./trusting.ts";

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
      expect(refusalText(at(late))).toMatch(
        /^SIGNER_UNTRUSTED: certificate: .*is good at 202\S+, got one that is good from 2026-11-23T23:10:02.000Z to 2026-11-23T23:20:02.000Z$/,
      );
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

// As sigstore-conformance names its folders (test/assets/bundle-verify): by the root beside a bundle, else the public-good one.
test.each([
  "happy-path-intoto-in-dsse-v3",
  "happy-path-v0.3", // A message signature: no attestation, so refused although it is good.
  "intoto-with-custom-trust-root",
  "dsse-invalid-sig_fail",
  "intoto-expired-certificate_fail",
])("conformance: %s", (name) => {
  const own = existsSync(new URL(`fixtures/${name}.trusted_root.json`, import.meta.url));
  const by = byRoot(own ? name : "sigstore-public-good");
  const run = () => verifyTrusted(parseBundle(fixture(`${name}.json`)), by, NOW);
  if (name.endsWith("_fail") || name === "happy-path-v0.3") refusalText(run);
  else expect(run().issuer).toBe(ACTIONS);
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
    ["a certificate that has run out", () => bundleOf(root, { notAfter: new Date("2026-06-15T11:59:59Z") }), /is good/],
    ["one that is not good yet", () => bundleOf(root, { notBefore: new Date("2026-06-15T12:00:01Z") }), /is good/],
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
    expect(verdict(await bundleOf(old), trusts(old.pem), DAY)).toMatch(/^SIGNER_UNTRUSTED: .*is good/);
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
