import type { KeyObject } from "node:crypto";
import { X509Certificate } from "@sigstore/core";
import { KEYS_EXPECTED, readKey } from "./key.ts";
import { materialError } from "./material.ts";

export type Certificate = {
  x509: X509Certificate;
  key: KeyObject;
  /** The first URI of the subject alternative name, else its first email address; empty if there is neither. */
  signer: string;
  /** The OIDC issuer as Fulcio notes it; empty if it is not there. */
  issuer: string;
  /** Whether its key usages, if it has any, allow signatures of code (RFC 5280 sections 4.2.1.3 and 4.2.1.12). */
  isForSigning: boolean;
  /** First and last moment at which it is good, in ISO 8601. */
  validity: readonly [from: string, to: string];
};

const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SIGNING_USAGES: ReadonlySet<string> = new Set(["1.3.6.1.5.5.7.3.3", "2.5.29.37.0"]); // codeSigning, anyExtendedKeyUsage
// Fulcio, docs/oid-info.md: the second one is DER, the first one bare text.
const ISSUER = "1.3.6.1.4.1.57264.1.8";
const ISSUER_DEPRECATED = "1.3.6.1.4.1.57264.1.1";
// GeneralName, RFC 5280 section 4.2.1.6.
const EMAIL_TAG = 1;
const URI_TAG = 6;
const LONGEST_NAME = 4096;

/**
 * Reads a certificate (DER): its key and whom it names. Nothing is verified of it.
 *
 * @throws BundleError VERIFICATION_MATERIAL_INVALID: not a certificate, a key of another kind, or a name that is no text.
 */
export function readCertificate(der: Buffer<ArrayBuffer>): Certificate {
  let x509: X509Certificate;
  let spki: Buffer;
  let names: Names;
  let isForSigning: boolean;
  let validity: Certificate["validity"];
  try {
    x509 = X509Certificate.parse(der);
    spki = x509.publicKey;
    names = readNames(x509);
    isForSigning = readUsage(x509);
    validity = [x509.notBefore.toISOString(), x509.notAfter.toISOString()];
  } catch {
    // What the parser says of bytes that are no certificate helps nobody.
    throw materialError(" certificate", "an X.509 certificate in DER", "something else");
  }
  const key = readKey(spki);
  if (typeof key === "string") {
    throw materialError(" certificate", KEYS_EXPECTED, key);
  }
  const [signer, issuer] = [nameOf(names.signer, "subject"), nameOf(names.issuer, "issuer")];
  return { x509, key, signer, issuer, isForSigning, validity };
}

type Names = { signer: Buffer | undefined; issuer: Buffer | undefined };

function readNames(x509: X509Certificate): Names {
  const general = x509.extension(SUBJECT_ALTERNATIVE_NAME)?.valueObj.subs[0]?.subs ?? [];
  const named = (tag: number) => general.find((name) => name.tag.isContextSpecific(tag))?.value;
  const issuer = x509.extension(ISSUER)?.valueObj.subs[0]?.value ?? x509.extension(ISSUER_DEPRECATED)?.value;
  return { signer: named(URI_TAG) ?? named(EMAIL_TAG), issuer };
}

function readUsage(x509: X509Certificate): boolean {
  const extended = x509.extension(EXTENDED_KEY_USAGE)?.valueObj.subs[0]?.subs;
  const isForCode = extended === undefined || extended.some((usage) => SIGNING_USAGES.has(usage.toOID()));
  return isForCode && x509.extKeyUsage?.digitalSignature !== false;
}

// Decoded with care: a byte that a reader drops or folds could make one name look like another.
function nameOf(bytes: Buffer | undefined, what: string): string {
  if (bytes === undefined) {
    return "";
  }
  const text = bytes.toString("utf8");
  if (bytes.length > LONGEST_NAME || /[\p{Cc}\u2028\u2029\ufffd]/u.test(text)) {
    throw materialError(` certificate: ${what}`, `text of up to ${LONGEST_NAME} bytes`, `${bytes.length} others`);
  }
  return text;
}
