import "reflect-metadata";
import { createPublicKey, type KeyObject } from "node:crypto";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import { DomainError } from "../errors/domain-error.ts";

const mostBytes = 16 * 1024;
const block = /-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----/g;
const curves: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const rsaBits = { least: 2_048, most: 4_096 };
/** F4, the exponent of all keys in use but for a few smaller ones; longer ones take long to verify by. */
const mostExponent = 65_537n;
const hashes: ReadonlySet<string> = new Set(["SHA-256", "SHA-384", "SHA-512"]);

/**
 * The public key of a signing request (PKCS #10, RFC 2986, in PEM), which has to be signed by that very key: whoever asks
 * holds it. Nothing else of the request is read. Throws SIGNING_REQUEST_INVALID.
 */
export async function readSigningRequest(bytes: Uint8Array): Promise<KeyObject> {
  if (bytes.length > mostBytes) throw invalid(`at most ${mostBytes} bytes`, `${bytes.length}`);
  const blocks = [...Buffer.from(bytes).toString("latin1").matchAll(block)];
  const [, base64 = ""] = blocks[0] ?? [];
  if (blocks.length !== 1) throw invalid("one PEM block CERTIFICATE REQUEST", blocks.length === 0 ? "none" : "several");
  const { request, spki } = parse(Buffer.from(base64, "base64"));
  const key = keyOf(spki);
  if (!(await isSignedByItsKey(request))) {
    throw invalid("a signature by its own key, with SHA-256 or longer", "another one");
  }
  return key;
}

function parse(der: Buffer<ArrayBuffer>): { request: Pkcs10CertificateRequest; spki: Buffer } {
  try {
    const request = new Pkcs10CertificateRequest(der);
    return { request, spki: Buffer.from(request.publicKey.rawData) };
  } catch {
    // What the parser says of bytes that are no request helps nobody.
    throw invalid("PKCS #10 in DER within the PEM", "something else");
  }
}

function keyOf(spki: Buffer): KeyObject {
  const expected = `a key of ECDSA (P-256, P-384, P-521), Ed25519 or RSA (${rsaBits.least} to ${rsaBits.most} bits)`;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, format: "der", type: "spki" });
  } catch {
    throw invalid(expected, "a key that cannot be read");
  }
  const { namedCurve = "", modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ec":
      if (curves.has(namedCurve)) return key;
      throw invalid(expected, `ECDSA on the curve ${namedCurve || "of its own"}`);
    case "ed25519":
      return key;
    case "rsa":
      if (modulusLength < rsaBits.least || modulusLength > rsaBits.most)
        throw invalid(expected, `RSA of ${modulusLength} bits`);
      if (publicExponent <= mostExponent) return key;
      throw invalid(expected, "RSA with an exponent of more than 65537");
    default:
      throw invalid(expected, `a key of type ${key.asymmetricKeyType}`);
  }
}

async function isSignedByItsKey(request: Pkcs10CertificateRequest): Promise<boolean> {
  try {
    // Ed25519 has no hash to choose.
    const { hash } = request.signatureAlgorithm as { hash?: { name: string } };
    if (hash !== undefined && !hashes.has(hash.name)) return false;
    return await request.verify();
  } catch {
    return false;
  }
}

function invalid(expected: string, actual: string): DomainError {
  return new DomainError("SIGNING_REQUEST_INVALID", `the signing request must have ${expected}; came ${actual}`, {
    metadata: { expected, actual },
  });
}
