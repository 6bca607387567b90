import { X509Certificate } from "node:crypto";
import { childrenOf, type Element, readDer } from "./der.ts";
import { KEYS_EXPECTED, type PublicKey, usableKey } from "./key.ts";
import { materialError } from "./material.ts";

export type Certificate = {
  key: PublicKey;
  /** The first URI of the subject alternative name, else its first email address; empty if there is neither. */
  signer: string;
  /** The OIDC issuer as Fulcio notes it; empty if it is not there. */
  issuer: string;
  /** Whether its key usages, if it has any, allow signatures of code (RFC 5280 sections 4.2.1.3 and 4.2.1.12). */
  isForSigning: boolean;
  /** First and last moment at which it is good, in ISO 8601. */
  validity: readonly [from: string, to: string];
};

// Object identifiers, in DER and hexadecimal.
const SUBJECT_ALTERNATIVE_NAME = "551d11"; // 2.5.29.17
const KEY_USAGE = "551d0f"; // 2.5.29.15
const EXTENDED_KEY_USAGE = "551d25"; // 2.5.29.37
const SIGNING_USAGES: ReadonlySet<string> = new Set(["2b06010505070303", "551d2500"]); // codeSigning, anyExtendedKeyUsage
// Fulcio, docs/oid-info.md, 1.3.6.1.4.1.57264.1.8 and .1.1: the first one is DER, the second one bare text.
const ISSUER = "2b0601040183bf300108";
const ISSUER_DEPRECATED = "2b0601040183bf300101";

// Tags: RFC 5280 section 4.1, and of GeneralName section 4.2.1.6.
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const EMAIL = 0x81;
const URI = 0x86;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;

const TIME = /^(\d{2}|\d{4})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d)([0-5]\d)Z$/;
const LONGEST_NAME = 4096;

/**
 * Reads a certificate (DER): its key and whom it names. Nothing is verified of it. Store does this in the event loop for
 * each bundle, so only the few fields that count are read: a tree of objects takes longer than to verify the signature.
 *
 * @throws BundleError VERIFICATION_MATERIAL_INVALID: not a certificate, a key of another kind, or a name that is no text.
 */
export function readCertificate(der: Buffer<ArrayBuffer>): Certificate {
  let x509: X509Certificate;
  let parts: Parts;
  try {
    parts = readParts(der);
    x509 = new X509Certificate(der);
  } catch {
    // What the parser says of bytes that are no certificate helps nobody.
    throw materialError(" certificate", "an X.509 certificate in DER", "something else");
  }
  const key = usableKey(() => x509.publicKey, parts.keyInfo);
  if (typeof key === "string") {
    throw materialError(" certificate", KEYS_EXPECTED, key);
  }
  const { isForSigning, validity } = parts;
  const [signer, issuer] = [nameOf(parts.signer, "subject"), nameOf(parts.issuer, "issuer")];
  return { key, signer, issuer, isForSigning, validity };
}

type Parts = { keyInfo: Buffer; signer: Buffer | undefined; issuer: Buffer | undefined } & Pick<
  Certificate,
  "isForSigning" | "validity"
>;

function readParts(der: Buffer): Parts {
  const [certificate, ...others] = readDer(der);
  if (others.length > 0) {
    throw new Error("more than a certificate");
  }
  const [body] = childrenOf(expected(SEQUENCE, certificate));
  const [version, , , , validity, , keyInfo, ...rest] = childrenOf(expected(SEQUENCE, body));
  expected(VERSION, version);
  const extensions = readExtensions(rest.find(({ tag }) => tag === EXTENSIONS));
  const names = firstIn(extensions.get(SUBJECT_ALTERNATIVE_NAME));
  const named = (tag: number) => names && childrenOf(names).find((name) => name.tag === tag)?.contents;
  const [from, to] = childrenOf(expected(SEQUENCE, validity));
  return {
    keyInfo: expected(SEQUENCE, keyInfo).contents,
    signer: named(URI) ?? named(EMAIL),
    issuer: firstIn(extensions.get(ISSUER))?.contents ?? extensions.get(ISSUER_DEPRECATED),
    isForSigning: allowsSigning(extensions),
    validity: [readTime(from), readTime(to)],
  };
}

function expected(tag: number, element: Element | undefined): Element {
  if (element?.tag !== tag) {
    throw new Error("another element");
  }
  return element;
}

// What each extension says, by its object identifier; the first one counts.
function readExtensions(extensions: Element | undefined): Map<string, Buffer> {
  const values = new Map<string, Buffer>();
  const [list] = extensions === undefined ? [] : childrenOf(extensions);
  for (const extension of list === undefined ? [] : childrenOf(list)) {
    const parts = childrenOf(extension);
    const id = expected(OBJECT_IDENTIFIER, parts[0]).contents.toString("hex");
    if (!values.has(id)) {
      values.set(id, expected(OCTET_STRING, parts.at(-1)).contents);
    }
  }
  return values;
}

function firstIn(value: Buffer | undefined): Element | undefined {
  return value === undefined ? undefined : readDer(value)[0];
}

function allowsSigning(extensions: ReadonlyMap<string, Buffer>): boolean {
  const extended = firstIn(extensions.get(EXTENDED_KEY_USAGE));
  const usage = extensions.get(KEY_USAGE);
  const isForCode =
    extended === undefined ||
    childrenOf(extended).some((purpose) =>
      SIGNING_USAGES.has(expected(OBJECT_IDENTIFIER, purpose).contents.toString("hex")),
    );
  return isForCode && (usage === undefined || signsBytes(expected(BIT_STRING, firstIn(usage)).contents));
}

// The first octet says how many bits of the last one are unused; the first bit after it is digitalSignature.
function signsBytes([unused = 8, bits = 0]: Buffer): boolean {
  if (unused > 7) {
    throw new Error("no bit string");
  }
  return bits >= 0x80;
}

function readTime(element: Element | undefined): string {
  const text = element?.contents.toString("latin1") ?? "";
  const [, year = "", month, day, hour, minute, second] = TIME.exec(text) ?? [];
  const digits = element?.tag === UTC_TIME ? 2 : element?.tag === GENERALIZED_TIME ? 4 : 0;
  if (year.length !== digits) {
    throw new Error("no time");
  }
  // RFC 5280 section 4.1.2.5.1.
  const century = digits === 4 ? "" : Number(year) >= 50 ? "19" : "20";
  return `${century}${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
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
