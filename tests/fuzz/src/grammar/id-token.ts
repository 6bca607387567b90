import fc from "fast-check";
import { mutated } from "./bytes.ts";
import { anyJson, objectOf, stringTexts } from "./json.ts";
import { anyText } from "./text.ts";

const encode = (text: string) => Buffer.from(text).toString("base64url");

function mostly(usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string> = anyJson): fc.Arbitrary<string> {
  return fc.oneof({ weight: 14, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

const soon = () => String(Math.floor(Date.now() / 1_000) + 300);
const justNow = () => String(Math.floor(Date.now() / 1_000) - 5);
const times = fc.constantFrom("0", "-1", "1e999", "1e300", "0.5", '"1"', "9007199254740993", "4102444800", "null");

/** ID tokens of an issuer: their claims by their grammar, most under a good signature, and some with small faults. */
export function idTokens(sign: (text: string) => Buffer, issuer: string): fc.Arbitrary<string> {
  const headers = mostly(
    fc.constant('{"alg":"EdDSA","kid":"fuzz"}'),
    objectOf({
      alg: fc.constantFrom('"EdDSA"', '"Ed25519"', '"none"', '"HS256"', '"RS256"', "1", '"__proto__"'),
      kid: fc.oneof(fc.constant('"fuzz"'), stringTexts),
      typ: fc.constantFrom('"JWT"', '"JOSE"', "1"),
      crit: fc.constantFrom("[]", '["exp"]', '["b64"]', "null", '"exp"'),
      b64: fc.constantFrom("true", "false"),
      jku: fc.constant('"https://attacker.example/keys"'),
      zip: fc.constant('"DEF"'),
    }),
  );
  const claims = objectOf({
    iss: mostly(fc.constant(JSON.stringify(issuer)), fc.oneof(fc.constant(JSON.stringify([issuer])), stringTexts)),
    aud: mostly(fc.constantFrom('"attestry"', '["other","attestry"]', '["attestry",1,null]'), anyJson),
    sub: mostly(fc.oneof(fc.constant('"repo:acme/app:ref:refs/heads/main"'), stringTexts)),
    exp: mostly(fc.constant(0).map(soon), times),
    iat: mostly(fc.constant(0).map(justNow), times),
    nbf: mostly(fc.constant("0"), times),
    repository: fc.oneof(fc.constantFrom('"acme/app"', "true", "1e21"), stringTexts, anyJson),
    ref: anyJson,
  });
  const contents = fc.tuple(headers, mostly(claims)).map((parts) => parts.map(encode).join("."));
  const signed = contents.map((content) => `${content}.${sign(content).toString("base64url")}`);
  return fc.oneof(
    { weight: 12, arbitrary: signed },
    { weight: 1, arbitrary: contents.map((content) => `${content}.${encode("signature")}`) },
    {
      weight: 2,
      arbitrary: mutated(signed.map((token) => Buffer.from(token))).map((bytes) => bytes.toString("latin1")),
    },
    { weight: 1, arbitrary: anyText },
  );
}
