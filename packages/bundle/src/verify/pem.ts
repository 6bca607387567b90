import { createPublicKey } from "node:crypto";
import { X509Certificate } from "@sigstore/core";
import { decodeBase64 } from "../base64.ts";
import { quote } from "../describe.ts";
import { type BundleError, mismatch } from "../error.ts";
import { KEYS_EXPECTED, type PublicKey, readKey } from "./key.ts";

// RFC 7468; text around the blocks is explanatory (section 5.2).
const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

export function trustError(what: string, expected: string, actual: string): BundleError {
  return mismatch("TRUST_MATERIAL_INVALID", what, expected, actual);
}

/**
 * The certificates of one chain of authorities, at most `most` of them.
 *
 * @throws BundleError TRUST_MATERIAL_INVALID: not certificates, one that is no authority's, or no self-signed root.
 */
export function readPemCertificates(pem: string, what: string, most: number): X509Certificate[] {
  const blocks = readBlocks(pem, "CERTIFICATE", what);
  if (blocks.length > most) {
    throw trustError(what, `at most ${most} certificates, those of one chain`, String(blocks.length));
  }
  const certificates = blocks.map((der, index) => readAuthority(der, `${what}, certificate ${index + 1}`));
  if (!certificates.some(isSelfSigned)) {
    throw trustError(what, "a chain up to a self-signed root", "no self-signed certificate");
  }
  return certificates;
}

/** @throws BundleError TRUST_MATERIAL_INVALID: not exactly one public key, or one of another kind. */
export function readPemKey(pem: string, what: string): PublicKey {
  const [spki, ...others] = readBlocks(pem, "PUBLIC KEY", what);
  if (spki === undefined || others.length > 0) {
    throw trustError(what, "one public key", `${others.length + 1}`);
  }
  const key = readKey(spki);
  if (typeof key === "string") {
    throw trustError(what, KEYS_EXPECTED, key);
  }
  return key;
}

// A block of another kind is refused: a private key that came by mistake is not to be kept.
function readBlocks(pem: string, label: string, what: string): Buffer<ArrayBuffer>[] {
  const expected = `PEM with BEGIN ${label}`;
  const blocks = [...pem.matchAll(BLOCK)].map(([, found = "", body = ""]) => {
    if (found !== label) {
      throw trustError(what, expected, quote(`BEGIN ${found}`));
    }
    const der = decodeBase64(body.replace(/\s/g, ""));
    if (!Buffer.isBuffer(der)) {
      throw trustError(what, "base64 between BEGIN and END", der.reason);
    }
    return der;
  });
  if (blocks.length === 0) {
    throw trustError(what, expected, pem.trim() === "" ? "nothing" : "no such block");
  }
  return blocks;
}

function readAuthority(der: Buffer<ArrayBuffer>, what: string): X509Certificate {
  let certificate: X509Certificate;
  let isAuthority: boolean;
  try {
    certificate = X509Certificate.parse(der);
    createPublicKey({ key: certificate.publicKey, format: "der", type: "spki" });
    isAuthority = certificate.isCA && certificate.notBefore <= certificate.notAfter;
  } catch {
    throw trustError(what, "an X.509 certificate", "something else");
  }
  if (!isAuthority) {
    throw trustError(what, "the certificate of an authority (CA:TRUE, keyCertSign)", "one that may not issue others");
  }
  return certificate;
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject.equals(certificate.issuer) && certificate.verify();
}
