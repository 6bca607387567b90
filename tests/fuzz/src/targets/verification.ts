import { checkSignature, parseBundle, parseTrustPolicy, type TrustPolicy, verifyTrusted } from "@attestry/bundle";
import fc from "fast-check";
import { fixture } from "../fixtures.ts";
import { authorities, publicKeys, SIGNED, signedBundles, trustedRoots } from "../grammar/signed.ts";
import { anyText } from "../grammar/text.ts";
import { promise, type Target, target } from "../target.ts";

const now = new Date("2026-11-28T12:00:00Z");
const none: TrustPolicy = {
  material: { trustedRoots: [], certificateAuthorities: [], publicKeys: [] },
  ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
};
const policies = SIGNED.map(({ root }) => {
  const material = { ...none.material, trustedRoots: [fixture(root).toString()] };
  return parseTrustPolicy({ ...none, material, transparencyLogThreshold: 1 });
});
const payloads = SIGNED.map(({ bundle }) => parseBundle(fixture(bundle)).envelope.payload);
const good = parseBundle(fixture(SIGNED[0].bundle));

type Case = { which: number; bytes: Buffer };

function check({ which, bytes }: Case): void {
  const bundle = parseBundle(bytes);
  const found = checkSignature(bundle);
  if (found.status === "not_checked") return;
  promise(bundle.envelope.payload.equals(payloads[which] ?? bytes), "another payload under the signature");
  promise(found.signer.isWellFormed() && found.issuer.isWellFormed(), "a signer that no text can hold");
}

function verify({ which, bytes }: Case): void {
  const bundle = parseBundle(bytes);
  const policy = policies[which];
  if (policy === undefined) throw new Error("no policy");
  const { signer } = verifyTrusted(bundle, policy, now);
  promise(bundle.envelope.payload.equals(payloads[which] ?? bytes), "another payload under a trusted signature");
  promise(signer.startsWith("https://github.com/sigstore-conformance/"), "another signer is trusted");
}

const patterns = fc.oneof(
  fc.constantFrom(
    "",
    "*",
    "**",
    "https://github.com/*",
    "*".repeat(1_000),
    `${"*a".repeat(500)}b`,
    "(a+)+$",
    "[",
    "\\",
  ),
  anyText,
);
const thresholds = fc.oneof(
  { weight: 6, arbitrary: fc.nat(2) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 0.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY) },
);
const policyTexts: fc.Arbitrary<TrustPolicy> = fc.record({
  material: fc.record({
    trustedRoots: fc.array(trustedRoots, { maxLength: 2 }),
    certificateAuthorities: fc.array(authorities, { maxLength: 1 }),
    publicKeys: fc.array(publicKeys, { maxLength: 1 }),
  }),
  transparencyLogThreshold: thresholds,
  timestampThreshold: thresholds,
  signers: fc.array(fc.record({ subject: patterns, issuer: patterns }), { maxLength: 3 }),
});

/** Of what verifies: bundles that are nearly good, and trust policies that nearly are. */
export const verificationTargets: Target[] = [
  target("signatures of bundles that were good", 4_000, signedBundles, check),
  target("bundles that were trusted", 600, signedBundles, verify),
  target("trust policies, and a good bundle by them", 2_500, policyTexts, (policy) => {
    verifyTrusted(good, parseTrustPolicy(policy), now);
  }),
];
