import { generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { fixture } from "../fixtures.ts";
import { faults } from "./bytes.ts";
import { anyJson } from "./json.ts";
import { anyText } from "./text.ts";

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
type Leaf = { path: string[]; value: string };

/** Bundles that verify, with the trust that they verify by. */
export const SIGNED = [
  { bundle: "happy-path-intoto-in-dsse-v3.json", root: "sigstore-public-good.trusted_root.json" },
  { bundle: "intoto-with-custom-trust-root.json", root: "intoto-with-custom-trust-root.trusted_root.json" },
  { bundle: "chainloop-v0.3.json", root: "intoto-expired-certificate_fail.trusted_root.json" },
] as const;

// The texts in a value: base64 of DER, signatures and bodies, checkpoints, hints, and numbers that are written as texts.
function leavesOf(value: Json, path: string[] = []): Leaf[] {
  if (typeof value === "string") return [{ path, value }];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, part]) => leavesOf(part, [...path, name]));
}

function withLeaf(value: Json, [name, ...rest]: string[], changed: Json): Json {
  if (name === undefined) return changed;
  if (Array.isArray(value))
    return value.map((part, at) => (String(at) === name ? withLeaf(part, rest, changed) : part));
  if (value === null || typeof value !== "object") return value;
  return { ...value, [name]: withLeaf(value[name] ?? null, rest, changed) };
}

const isBase64 = (text: string) => text.length > 20 && /^[A-Za-z0-9+/]+=*$/.test(text);

/** One thing done to one text of a value, by where it stands among all of them. */
const changes = fc.tuple(
  fc.integer({ min: 0, max: 999_999 }).map((part) => part / 1_000_000),
  fc.oneof(
    { weight: 12, arbitrary: faults },
    { weight: 1, arbitrary: fc.constant(() => Buffer.alloc(0)) },
    { weight: 1, arbitrary: anyText.map((text) => () => Buffer.from(text)) },
  ),
  fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: anyJson }),
);
type Change = typeof changes extends fc.Arbitrary<infer T> ? T : never;

function changed(value: Json, [place, fault, instead]: Change, among: (path: string[]) => boolean): Json {
  const leaves = leavesOf(value).filter(({ path }) => among(path));
  const leaf = leaves[Math.floor(place * leaves.length)];
  if (leaf === undefined) return value;
  // What stands there instead may be no JSON that a value can be, such as 1e999; then as a text.
  if (instead !== undefined) return withLeaf(value, leaf.path, parsedOr(instead));
  const text = isBase64(leaf.value)
    ? fault(Buffer.from(leaf.value, "base64")).toString("base64")
    : fault(Buffer.from(leaf.value)).toString();
  return withLeaf(value, leaf.path, text);
}

function parsedOr(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const one = fc.array(changes, { minLength: 1, maxLength: 2 });
const inMaterial = ([first]: string[]) => first === "verificationMaterial" || first === "dsseEnvelope";

/** Bundles that verify, with a fault in a certificate, a log entry, a timestamp or the envelope: DER and bodies inside base64 too. */
export const signedBundles: fc.Arbitrary<{ which: number; bytes: Buffer }> = fc
  .tuple(fc.nat(SIGNED.length - 1), fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 19, arbitrary: one }))
  .map(([which, edits]) => {
    const whole: Json = JSON.parse(fixture(SIGNED[which]?.bundle ?? "").toString());
    const bundle = edits.reduce((value, edit) => changed(value, edit, inMaterial), whole);
    return { which, bytes: Buffer.from(JSON.stringify(bundle)) };
  });

/** The texts of trusted roots with faults in their keys and certificates, and of their fields. */
export const trustedRoots: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom(...SIGNED), fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 9, arbitrary: one }))
  .map(([{ root }, edits]) => {
    const whole: Json = JSON.parse(fixture(root).toString());
    return JSON.stringify(edits.reduce((value, edit) => changed(value, edit, () => true), whole));
  });

const KEYS = [
  generateKeyPairSync("ec", { namedCurve: "P-256" }),
  generateKeyPairSync("ec", { namedCurve: "P-384" }),
  generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  generateKeyPairSync("rsa", { modulusLength: 2048 }),
  generateKeyPairSync("rsa", { modulusLength: 1024 }),
  generateKeyPairSync("ed25519"),
  generateKeyPairSync("x25519"),
].map(({ publicKey }) => publicKey.export({ type: "spki", format: "der" }));
const pem = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`;
const labels = fc.oneof(
  { weight: 8, arbitrary: fc.constant("PUBLIC KEY") },
  { weight: 1, arbitrary: fc.constantFrom("CERTIFICATE", "PRIVATE KEY", "RSA PUBLIC KEY", "", "-----") },
);

/** Public keys in PEM, whole and with faults. */
export const publicKeys: fc.Arbitrary<string> = fc
  .tuple(labels, fc.constantFrom(...KEYS), fc.option(faults))
  .map(([label, der, fault]) => pem(label, fault === null ? der : fault(der)));

const authority = fixture("chainloop-cli-63k.ca.pem").toString();
const authorityDer = Buffer.from(authority.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");

/** Certificates of authorities in PEM: whole, and with faults in the text or in the DER. */
export const authorities: fc.Arbitrary<string> = fc.oneof(
  fc.constant(authority),
  faults.map((fault) => pem("CERTIFICATE", fault(authorityDer))),
  faults.map((fault) => fault(Buffer.from(authority)).toString()),
  fc.integer({ min: 0, max: 12 }).map((count) => authority.repeat(count)),
);

/** A key pair whose signatures verify, to go past the signature. */
export function newSigner() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { publicKey, sign: (text: string) => sign(null, Buffer.from(text), privateKey) };
}
