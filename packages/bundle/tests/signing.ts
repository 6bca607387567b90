import "reflect-metadata";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { DEFAULT_LIMITS, type ParsedBundle, parseBundle } from "../src/index.ts";
import { bytesOf, STATEMENT, V03 } from "./support.ts";

/** The time at which all certificates of this file are good, unless a test says otherwise. */
export const DAY = new Date("2026-06-15T12:00:00Z");
export const BEFORE = new Date("2026-01-01T00:00:00Z");
export const AFTER = new Date("2027-01-01T00:00:00Z");
export const SIGNER = "https://github.com/acme/widget/.github/workflows/release.yml@refs/tags/v1";
export const ISSUER = "https://token.actions.githubusercontent.com";

const ISSUER_OID = "1.3.6.1.4.1.57264.1.8";
const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export type Pair = { publicKey: KeyObject; privateKey: KeyObject };

export function ecKeys(namedCurve = "P-256"): Pair {
  return generateKeyPairSync("ec", { namedCurve });
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }).toString();
}

/** What is signed, written out by hand: DSSE's pre-authentication encoding. */
export function encoding(payload: Buffer, payloadType = "application/vnd.in-toto+json"): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload]);
}

export type Signing = (data: Buffer) => Buffer;

export function ecdsa({ privateKey }: Pair, digest = "sha256"): Signing {
  return (data) => sign(digest, data, privateKey);
}

/** A bundle around the statement; each of `signers` signs it. */
export function signedBundle(material: unknown, ...signers: Signing[]): Record<string, unknown> {
  const payload = bytesOf(STATEMENT);
  const signatures = signers.map((signer) => ({ sig: signer(encoding(payload)).toString("base64") }));
  return {
    mediaType: V03,
    verificationMaterial: material,
    dsseEnvelope: { payload: payload.toString("base64"), payloadType: "application/vnd.in-toto+json", signatures },
  };
}

export function parsed(bundle: unknown, limits = DEFAULT_LIMITS): ParsedBundle {
  return parseBundle(bytesOf(bundle), limits);
}

export function certificateMaterial(der: Buffer): { certificate: { rawBytes: string } } {
  return { certificate: { rawBytes: der.toString("base64") } };
}

export interface Authority {
  keys: Pair;
  name: string;
  pem: string;
  der: Buffer;
}

export interface LeafOptions {
  notBefore?: Date;
  notAfter?: Date;
  names?: { type: "url" | "email" | "dns"; value: string }[];
  issuer?: string | Buffer<ArrayBuffer>;
  usages?: string[];
}

/** A certificate for a key; without `by` the authority of its own. */
async function certify(
  name: string,
  keys: KeyObject,
  by: Authority | undefined,
  own: Pair | undefined,
  extensions: x509.Extension[],
  from = BEFORE,
  to = AFTER,
) {
  const signer = by?.keys ?? own;
  if (signer === undefined) throw new Error("nobody signs");
  return x509.X509CertificateGenerator.create({
    serialNumber: createHash("sha256").update(name).digest("hex").slice(0, 16),
    subject: name,
    issuer: by?.name ?? name,
    notBefore: from,
    notAfter: to,
    publicKey: await webKey(keys),
    signingKey: await webSigningKey(signer.privateKey),
    signingAlgorithm: ECDSA,
    extensions,
  });
}

function webKey(key: KeyObject) {
  const der = new Uint8Array(key.export({ type: "spki", format: "der" }));
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  if (asymmetricKeyType === "ed25519") return crypto.subtle.importKey("spki", der, "Ed25519", true, ["verify"]);
  if (asymmetricKeyType === "rsa")
    return crypto.subtle.importKey("spki", der, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, true, ["verify"]);
  const namedCurve = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" }[
    asymmetricKeyDetails?.namedCurve ?? ""
  ];
  return crypto.subtle.importKey("spki", der, { name: "ECDSA", namedCurve: namedCurve ?? "" }, true, ["verify"]);
}

function webSigningKey(key: KeyObject) {
  return crypto.subtle.importKey("pkcs8", new Uint8Array(key.export({ type: "pkcs8", format: "der" })), ECDSA, true, [
    "sign",
  ]);
}

/** A self-signed root, or an intermediate that `by` certified. */
export async function authority(name: string, by?: Authority, notAfter = AFTER): Promise<Authority> {
  const keys = ecKeys();
  const extensions = [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    await x509.SubjectKeyIdentifierExtension.create(await webKey(keys.publicKey)),
    ...(by === undefined ? [] : [await x509.AuthorityKeyIdentifierExtension.create(await webKey(by.keys.publicKey))]),
  ];
  const certificate = await certify(name, keys.publicKey, by, keys, extensions, BEFORE, notAfter);
  return { keys, name, pem: certificate.toString("pem"), der: Buffer.from(certificate.rawData) };
}

/** The DER of a signer's certificate. */
export async function leaf(by: Authority, key: KeyObject, options: LeafOptions = {}): Promise<Buffer> {
  const {
    names = [{ type: "url", value: SIGNER }],
    issuer = ISSUER,
    usages = [x509.ExtendedKeyUsage.codeSigning],
  } = options;
  const value = typeof issuer === "string" ? Buffer.from([0x0c, issuer.length, ...Buffer.from(issuer)]) : issuer;
  const extensions = [
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    ...(usages.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(usages)]),
    await x509.AuthorityKeyIdentifierExtension.create(await webKey(by.keys.publicKey)),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ...(value.length === 0 ? [] : [new x509.Extension(ISSUER_OID, false, value)]),
  ];
  const { notBefore, notAfter } = options;
  const certificate = await certify("CN=leaf", key, by, undefined, extensions, notBefore, notAfter);
  return Buffer.from(certificate.rawData);
}

/** The same bytes with one bit turned, `at` counted from the end if negative. */
export function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
  return copy;
}
