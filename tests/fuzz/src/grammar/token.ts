import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { ServiceName } from "@attestry/service-kit";
import fc from "fast-check";
import { mutated } from "./bytes.ts";
import { anyJson, listOf, objectOf, stringTexts } from "./json.ts";
import { anyText } from "./text.ts";

/** A key of a service, as JWK sets have it. */
export interface SigningKey {
  key: KeyObject;
  jwk: { kty: string; crv: string; x: string; d: string; kid: string; alg: "EdDSA" };
}

export function newSigningKey(service: ServiceName): SigningKey {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { kty = "", crv = "", x = "", d = "" } = privateKey.export({ format: "jwk" });
  return { key: privateKey, jwk: { kty, crv, x, d, kid: `${service}.fuzz`, alg: "EdDSA" } };
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64url");
}

const quoted = (texts: fc.Arbitrary<string>) => texts.map((text) => JSON.stringify(text));

const audiences = fc.oneof(
  quoted(fc.constantFrom("attestry/api", "attestry/cas", "attestry/service/cas-gateway", "api-token-auth.chainloop")),
  fc.constant('["attestry/api","attestry/cas"]'),
);
const times = fc.oneof(fc.constantFrom("1", "4102444800", "1e999", "-1", "-1e300", "1e300", "0.5", '"1"'), anyJson);

/** The first most of the time. */
function mostly(usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string> = anyJson): fc.Arbitrary<string> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

const common = {
  iss: mostly(fc.constant('"workflow-run"'), fc.constantFrom('"cas-gateway"', '"attestation-ingest"', '""', "{}")),
  aud: mostly(audiences),
  org_id: mostly(stringTexts),
  org: mostly(stringTexts),
  // As long before the end as the token of a service lives.
  iat: mostly(fc.constant("4102444740"), times),
  exp: mostly(fc.constant("4102444800"), times),
};
const backends = objectOf({
  id: stringTexts,
  name: stringTexts,
  provider: fc.constantFrom('"s3"', '"filesystem"'),
  secretRef: stringTexts,
  prefix: stringTexts,
});
const ofApi = objectOf({
  ...common,
  jti: stringTexts,
  role: mostly(quoted(fc.constantFrom("admin", "ci", "reader")), fc.constantFrom('"root"', '"__proto__"', "null", "2")),
  instance_admin: mostly(fc.constantFrom("true", "false")),
});
const ofCas = objectOf({
  ...common,
  cas: objectOf({
    role: mostly(quoted(fc.constantFrom("uploader", "downloader", "manager"))),
    space: mostly(quoted(fc.constantFrom("blobs", "bundles"))),
    backends: listOf(backends, 2),
    maxBytes: mostly(fc.constant("1000"), fc.constantFrom("-1", "1e999", "0.5")),
  }),
});
const claimsOfOtherTimes = objectOf({
  iss: fc.constant('"workflow-run"'),
  aud: audiences,
  exp: times,
  nbf: times,
  iat: times,
});

/** Bearer tokens: JWTs by their grammar, those that are signed with the right key and odd, and both with small faults. */
export function tokens({ key, jwk: { kid } }: SigningKey): fc.Arbitrary<string> {
  const goodHeader = JSON.stringify({ alg: "EdDSA", kid });
  const oddHeaders = objectOf({
    alg: quoted(fc.constantFrom("EdDSA", "none", "None", "HS256", "RS256", "ES256", "Ed25519")),
    kid: fc.oneof(fc.constant(JSON.stringify(kid)), stringTexts),
    typ: quoted(fc.constantFrom("JWT", "at+jwt")),
    crit: fc.constantFrom("[]", '["b64"]', '["exp"]'),
    b64: fc.constantFrom("true", "false"),
    jwk: fc.constant('{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'),
  });
  const headers = fc.oneof({ weight: 4, arbitrary: fc.constant(goodHeader) }, { weight: 1, arbitrary: oddHeaders });
  const payloads = fc.oneof(ofApi, ofCas, claimsOfOtherTimes, anyJson);
  const contents = fc.tuple(headers, payloads).map((parts) => parts.map(encode).join("."));
  const signed = contents.map((content) => `${content}.${sign(null, Buffer.from(content), key).toString("base64url")}`);
  const unsigned = fc
    .tuple(contents, fc.uint8Array({ maxLength: 70 }), fc.constantFrom("", "", "", ".", ".a.b"))
    .map(([content, signature, more]) => `${content}.${Buffer.from(signature).toString("base64url")}${more}`);
  const faulty = mutated(fc.oneof(signed, unsigned).map((token) => Buffer.from(token)));
  return fc.oneof(
    { weight: 4, arbitrary: signed },
    { weight: 2, arbitrary: unsigned },
    { weight: 2, arbitrary: faulty.map((bytes) => bytes.toString("latin1")) },
    { weight: 1, arbitrary: anyText },
  );
}

/** What may stand in the header Authorization. */
export function authorizations(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const schemes = fc.constantFrom(
    "Bearer ",
    "bearer ",
    "Bearer",
    "Bearer  ",
    "Basic ",
    "Bearer\t",
    "",
    "Bearer Bearer ",
  );
  return fc.tuple(schemes, texts).map(([scheme, text]) => scheme + text);
}
