import fc from "fast-check";
import { fixtures } from "../fixtures.ts";
import { anyBytes, base64Of, encoded, mutated } from "./bytes.ts";
import { chainloopPredicates } from "./chainloop.ts";
import { digests } from "./digest.ts";
import { anyJson, type JsonText, listOf, objectOf, stringTexts } from "./json.ts";
import { anyText } from "./text.ts";

function quoted(texts: fc.Arbitrary<string>): fc.Arbitrary<JsonText> {
  return texts.map((text) => JSON.stringify(text));
}

/** The first most of the time. */
function mostly(usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof({ weight: 20, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

const statementTypes = mostly(
  fc.constantFrom("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"),
  fc.constantFrom("https://in-toto.io/Statement/v2", "https://in-toto.io/statement/v1", "", "__proto__"),
);

const subjects = objectOf({
  name: quoted(fc.oneof(fc.constant("app"), anyText)),
  uri: quoted(fc.constantFrom("", "pkg:npm/app@1.0.0")),
  digest: fc.oneof(
    { weight: 6, arbitrary: objectOf({ sha256: quoted(digests.map((digest) => digest.replace("sha256:", ""))) }) },
    { weight: 1, arbitrary: objectOf({ gitCommit: quoted(fc.constant("ab".repeat(20))), sha512: stringTexts }) },
    {
      weight: 1,
      arbitrary: fc.tuple(stringTexts, stringTexts).map(([algorithm, value]) => `{${algorithm}:${value}}`),
    },
  ),
});

/** In-toto statements as JSON. */
export const statements: fc.Arbitrary<JsonText> = objectOf({
  _type: quoted(statementTypes),
  subject: listOf(subjects, 3),
  predicateType: quoted(
    mostly(fc.constantFrom("https://slsa.dev/provenance/v1", "chainloop.dev/attestation/v0.2"), anyText),
  ),
  predicate: fc.oneof({ weight: 3, arbitrary: chainloopPredicates }, { weight: 1, arbitrary: anyJson }),
});

const signatures = objectOf({
  sig: quoted(base64Of(fc.uint8Array({ minLength: 64, maxLength: 72 }).map((bytes) => Buffer.from(bytes)))),
  keyid: stringTexts,
});

const payloadTypes = mostly(
  fc.constantFrom("application/vnd.in-toto+json", "application/vnd.in-toto.provenance+json"),
  fc.oneof(fc.constantFrom("text/plain", "application/vnd.in-toto.+json", ""), anyText),
);

/** DSSE envelopes as JSON. */
export const envelopes: fc.Arbitrary<JsonText> = objectOf({
  payloadType: quoted(payloadTypes),
  payload: quoted(base64Of(encoded(statements))),
  signatures: listOf(signatures, 3),
});

const mediaTypes = mostly(
  fc.constantFrom(
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
  ),
  fc.constantFrom("application/vnd.dev.sigstore.bundle+json;version=9.9", "", "constructor"),
);

const sigstoreBundles = objectOf({
  mediaType: quoted(mediaTypes),
  verificationMaterial: fc.oneof(
    objectOf({ publicKey: objectOf({ hint: stringTexts }) }),
    objectOf({ certificate: objectOf({ rawBytes: quoted(base64Of(anyBytes)) }), tlogEntries: listOf(anyJson, 2) }),
    anyJson,
  ),
  dsseEnvelope: envelopes,
});

const withProtoNames = objectOf({
  media_type: quoted(mediaTypes),
  verification_material: objectOf({ public_key: objectOf({ hint: stringTexts }) }),
  dsse_envelope: envelopes,
});

const entries = objectOf({ bundle: sigstoreBundles, bundle_url: stringTexts });

/** Sigstore bundles, bare envelopes, and what is taken for them, by their grammar. */
export const bundles: fc.Arbitrary<Buffer> = encoded(
  fc.oneof(
    { weight: 12, arbitrary: sigstoreBundles },
    { weight: 4, arbitrary: envelopes },
    { weight: 2, arbitrary: withProtoNames },
    { weight: 1, arbitrary: entries },
    { weight: 1, arbitrary: anyJson },
  ),
);

/** Real bundles with small faults; the small ones more often, since a case of them takes less time. */
export const mutatedBundles: fc.Arbitrary<Buffer> = mutated(fixtures);

/** Bundles whose envelope is whole, and whose statement has small faults. */
export const bundlesWithMutatedStatements: fc.Arbitrary<Buffer> = mutated(encoded(statements)).map((statement) =>
  Buffer.from(
    JSON.stringify({
      payloadType: "application/vnd.in-toto+json",
      payload: statement.toString("base64"),
      signatures: [{ sig: "c2ln" }],
    }),
  ),
);
