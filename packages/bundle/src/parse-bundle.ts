import { compressionOf } from "./compression.ts";
import { describe, isJsonObject, type JsonObject, kindOf } from "./describe.ts";
import { type Envelope, readEnvelope } from "./envelope.ts";
import { BundleError, mismatch } from "./error.ts";
import { decodeUtf8, otherUnicodeOf, readJson } from "./json-text.ts";
import { type BundleLimits, DEFAULT_LIMITS } from "./limits.ts";
import { protoField } from "./proto-field.ts";
import { parseStatement, type Statement } from "./statement.ts";

/** An attestation as it came, in parts. What a verifier needs is all here; nothing of it has been verified. */
export type ParsedBundle = {
  /** Of the Sigstore bundle; empty for a bare DSSE envelope. */
  mediaType: string;
  envelope: Envelope;
  /**
   * The bundle's verificationMaterial as JSON.parse gave it, unchecked: certificates, log entries, timestamps. Null if
   * there is none. It may be nested as deeply as the limits allow, so whoever walks it should not recurse.
   */
  verificationMaterial: unknown;
  statement: Statement;
};

// sigstore/protobuf-specs, sigstore_bundle.proto: the second spelling came with v0.3, and is accepted for each version.
const MEDIA_TYPES: ReadonlySet<string> = new Set(
  ["0.1", "0.2", "0.3"].flatMap((version) => [
    `application/vnd.dev.sigstore.bundle+json;version=${version}`,
    `application/vnd.dev.sigstore.bundle.v${version}+json`,
  ]),
);
const MEDIA_TYPES_EXPECTED =
  '"application/vnd.dev.sigstore.bundle.v0.3+json" or "application/vnd.dev.sigstore.bundle+json;version=0.3", ' +
  "or the same of 0.1 or 0.2";
const ACCEPTED = "a Sigstore bundle or a DSSE envelope";
const FIELD_NAMES = ["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"] as const;

/**
 * Reads a Sigstore bundle (v0.1 to v0.3) or a bare DSSE envelope with an in-toto statement, as JSON in UTF-8 with or
 * without a byte order mark. Pure: no I/O, the bytes are not kept or changed, and the payload is decoded once.
 *
 * Names follow proto3 JSON: lowerCamelCase or the proto's own (`dsse_envelope`), never both, never twice, and case counts;
 * unknown fields are ignored. Otherwise it is lenient where bundles in use are, such as a v0.3 bundle with a certificate chain.
 * The size (bytes) is for the caller to bound.
 *
 * @throws BundleError BUNDLE_*, MESSAGE_SIGNATURE, PAYLOAD_*, SIGNATURE_MISSING, STATEMENT_MALFORMED, SUBJECT_MISSING.
 */
export function parseBundle(bytes: Uint8Array, limits: BundleLimits = DEFAULT_LIMITS): ParsedBundle {
  const value = readObject(bytes, limits);
  if (isBundle(value)) {
    return readBundle(value, limits);
  }
  if ("payload" in value || "payloadType" in value || "signatures" in value) {
    const envelope = readEnvelope(value, limits);
    const statement = parseStatement(envelope.payload, limits);
    return { mediaType: "", envelope, verificationMaterial: null, statement };
  }
  throw strangerError(value);
}

function readObject(bytes: Uint8Array, limits: BundleLimits): JsonObject {
  if (bytes.length === 0) {
    throw new BundleError("BUNDLE_EMPTY", `bundle: expected ${ACCEPTED}, got nothing (0 bytes)`);
  }
  const compression = compressionOf(bytes);
  if (compression !== undefined) {
    throw mismatch("BUNDLE_COMPRESSED", "bundle is compressed", "JSON, unpacked", compression);
  }
  const text = decodeText(bytes);
  // Of the bundle nothing is excepted: a verifier may read any of it, and by the first of two names.
  const json = readJson(text, limits, {});
  if (!("problem" in json)) {
    if (!isJsonObject(json.value)) {
      const hint = Array.isArray(json.value) ? "; store each bundle by itself" : "";
      throw mismatch("BUNDLE_MALFORMED", "bundle", `${ACCEPTED}, a JSON object`, kindOf(json.value) + hint);
    }
    return json.value;
  }
  if (text.trim() === "") {
    throw new BundleError("BUNDLE_EMPTY", `bundle: expected ${ACCEPTED}, got white space (${bytes.length} bytes)`);
  }
  if (json.problem === "excess") {
    throw new BundleError("BUNDLE_TOO_COMPLEX", `bundle: ${json.reason}`);
  }
  if (json.problem === "several") {
    const hint = "several JSON values (JSON lines): store each by itself";
    throw new BundleError("BUNDLE_NOT_JSON", `bundle: ${hint}; ${json.reason}`);
  }
  if (json.problem === "repeated") {
    throw new BundleError("BUNDLE_MALFORMED", `bundle: ${json.reason}`);
  }
  throw new BundleError("BUNDLE_NOT_JSON", `bundle: not JSON: ${json.reason}`);
}

function decodeText(bytes: Uint8Array): string {
  const other = otherUnicodeOf(bytes);
  const text = other === undefined ? decodeUtf8(bytes) : undefined;
  if (text === undefined) {
    throw mismatch("BUNDLE_NOT_UTF8", "bundle is not UTF-8", "JSON in UTF-8", other ?? "bytes that are not text in it");
  }
  return text;
}

function isBundle(value: JsonObject): boolean {
  return FIELD_NAMES.some((name) => fieldOf(value, name) !== undefined);
}

function readBundle(bundle: JsonObject, limits: BundleLimits): ParsedBundle {
  const mediaType = fieldOf(bundle, "mediaType");
  if (typeof mediaType !== "string" || !MEDIA_TYPES.has(mediaType)) {
    throw mismatch("BUNDLE_MALFORMED", "mediaType", MEDIA_TYPES_EXPECTED, describe(mediaType));
  }
  const content = fieldOf(bundle, "dsseEnvelope");
  if (fieldOf(bundle, "messageSignature") !== undefined) {
    if (content !== undefined) {
      throw mismatch("BUNDLE_MALFORMED", "bundle", "dsseEnvelope", "dsseEnvelope and messageSignature both");
    }
    const actual = "messageSignature, which signs an artifact and attests nothing";
    throw mismatch("MESSAGE_SIGNATURE", "bundle", "dsseEnvelope with an in-toto statement", actual);
  }
  if (content === undefined) {
    throw mismatch("BUNDLE_WITHOUT_CONTENT", "bundle", "dsseEnvelope", "neither dsseEnvelope nor messageSignature");
  }
  const material = fieldOf(bundle, "verificationMaterial");
  if (material !== undefined && !isJsonObject(material)) {
    throw mismatch("BUNDLE_MALFORMED", "verificationMaterial", "an object", kindOf(material));
  }
  const envelope = readEnvelope(content, limits);
  const statement = parseStatement(envelope.payload, limits);
  return { mediaType, envelope, verificationMaterial: material ?? null, statement };
}

function fieldOf(bundle: JsonObject, name: (typeof FIELD_NAMES)[number]): unknown {
  return protoField(bundle, name, { code: "BUNDLE_MALFORMED", what: "bundle" });
}

// What is neither a bundle nor an envelope, told apart as far as it helps to find the right file.
function strangerError(value: JsonObject): BundleError {
  const link = "bundle_url" in value || "bundleUrl" in value;
  if ("bundle" in value || link) {
    if (isJsonObject(value.bundle)) {
      const actual = "an entry of an attestation list; store what its field bundle holds";
      return mismatch("BUNDLE_MALFORMED", "bundle", ACCEPTED, actual);
    }
    const actual = `an entry of an attestation list, without its bundle${link ? "; links are not followed" : ""}`;
    return mismatch("BUNDLE_WITHOUT_CONTENT", "bundle", ACCEPTED, actual);
  }
  if (Array.isArray(value.attestations)) {
    return mismatch("BUNDLE_MALFORMED", "bundle", ACCEPTED, "an attestation list; store each bundle by itself");
  }
  if ("_type" in value) {
    return mismatch("BUNDLE_MALFORMED", "bundle", ACCEPTED, "a bare statement, which nobody signed");
  }
  return mismatch("BUNDLE_MALFORMED", "bundle", ACCEPTED, `${describe(value)} with none of their fields`);
}
