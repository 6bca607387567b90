import { decodeBase64 } from "../base64.ts";
import { describe, isJsonObject, type JsonObject } from "../describe.ts";
import { type BundleError, mismatch } from "../error.ts";
import type { ParsedBundle } from "../parse-bundle.ts";
import { protoField } from "../proto-field.ts";

const CODE = "VERIFICATION_MATERIAL_INVALID";
/** Ten times what certificates of keyless signing have; parsing what is larger would take long. In bytes. */
const LONGEST_CERTIFICATE = 64 * 1024;

/** The refusal of a bundle's verification material: what was expected where, and what came. */
export function materialError(what: string, expected: string, actual: string): BundleError {
  return mismatch(CODE, `verificationMaterial${what}`, expected, actual);
}

/** The verification material as an object; empty if the bundle has none. */
export function materialOf({ verificationMaterial }: ParsedBundle): JsonObject {
  return isJsonObject(verificationMaterial) ? verificationMaterial : {};
}

/**
 * The signer's certificate (DER) that the bundle carries: `certificate`, or the first of `x509CertificateChain`, where
 * the leaf stands (sigstore_common.proto). Undefined if it carries none: a public key's hint is no key.
 *
 * @throws BundleError VERIFICATION_MATERIAL_INVALID: there are two kinds of key, or the certificate is not there.
 */
export function leafOf(material: JsonObject): Buffer<ArrayBuffer> | undefined {
  const certificate = optionalField(material, "certificate", "");
  const chain = optionalField(material, "x509CertificateChain", "");
  const hint = optionalField(material, "publicKey", "");
  const kinds = [certificate, chain, hint].filter((kind) => kind !== undefined);
  if (kinds.length > 1) {
    throw materialError("", "one of certificate, x509CertificateChain and publicKey", `${kinds.length} of them`);
  }
  if (certificate !== undefined) {
    return readDer(certificate, ".certificate");
  }
  if (chain === undefined) {
    return undefined;
  }
  const what = ".x509CertificateChain";
  const certificates = listField(asObject(chain, what), "certificates", what);
  return readDer(certificates[0], `${what}.certificates[0]`);
}

function readDer(certificate: unknown, what: string): Buffer<ArrayBuffer> {
  const der = bytesField(asObject(certificate, what), "rawBytes", what);
  if (der.length === 0 || der.length > LONGEST_CERTIFICATE) {
    throw materialError(`${what}.rawBytes`, `1 to ${LONGEST_CERTIFICATE} bytes`, `${der.length} bytes`);
  }
  return der;
}

export function asObject(value: unknown, what: string): JsonObject {
  if (!isJsonObject(value)) {
    throw materialError(what, "an object", describe(value));
  }
  return value;
}

/** A field that may be unset, by either of its names; `what` is the path of its object. */
export function optionalField(object: JsonObject, name: string, what: string): unknown {
  return protoField(object, name, { code: CODE, what: `verificationMaterial${what}` });
}

/** A repeated field; empty if it is unset. */
export function listField(object: JsonObject, name: string, what: string): readonly unknown[] {
  const value = optionalField(object, name, what) ?? [];
  if (!Array.isArray(value)) {
    throw materialError(`${what}.${name}`, "an array", describe(value));
  }
  return value;
}

/** A field of bytes; empty if it is unset. */
export function bytesField(object: JsonObject, name: string, what: string): Buffer<ArrayBuffer> {
  return readBytes(optionalField(object, name, what) ?? "", `${what}.${name}`);
}

export function readBytes(value: unknown, what: string): Buffer<ArrayBuffer> {
  const bytes = typeof value === "string" ? decodeBase64(value) : undefined;
  if (!Buffer.isBuffer(bytes)) {
    const actual = bytes === undefined ? describe(value) : `${bytes.reason} at character ${bytes.offset}`;
    throw materialError(what, "base64", actual);
  }
  return bytes;
}

/** A field of text; empty if it is unset. */
export function textField(object: JsonObject, name: string, what: string): string {
  const value = optionalField(object, name, what) ?? "";
  if (typeof value !== "string") {
    throw materialError(`${what}.${name}`, "a string", describe(value));
  }
  return value;
}

/** A field of type int64, which proto3 JSON writes as a string and reads as a number too, in decimal digits; "0" if unset. */
export function integerField(object: JsonObject, name: string, what: string): string {
  const value = optionalField(object, name, what) ?? "0";
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== "string" || !/^\d{1,19}$/.test(text)) {
    throw materialError(`${what}.${name}`, "a whole number from 0 on", describe(value));
  }
  return text;
}
