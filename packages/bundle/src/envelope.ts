import { decodeBase64, decodedLength } from "./base64.ts";
import { describe, isJsonObject, type JsonObject, kindOf } from "./describe.ts";
import { BundleError, mismatch } from "./error.ts";
import { type BundleLimits, tooComplex } from "./limits.ts";

export type Signature = {
  /** The bytes as the envelope has them; some older clients signed well and then encoded twice. */
  sig: Buffer;
  /** An unauthenticated hint; empty if there is none. */
  keyid: string;
};

/** A DSSE envelope, decoded. The signatures are over payloadType and payload as they stand here. */
export type Envelope = {
  payloadType: string;
  payload: Buffer;
  /**
   * What the signatures sign: the pre-authentication encoding of type and payload (secure-systems-lab/dsse,
   * protocol.md). Its lengths are bytes; the payload is its end, not a copy.
   */
  signed: Buffer;
  /** One or more. */
  signatures: Signature[];
};

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
// in-toto attestation spec v1.1, envelope.md: the type may name the predicate's specification file.
const PREDICATE_PAYLOAD_TYPE = /^application\/vnd\.in-toto\.[A-Za-z0-9._-]{1,100}\+json$/;

/**
 * Reads a DSSE envelope (secure-systems-lab/dsse, envelope.md and envelope.proto) that carries an in-toto statement.
 * Field names are exact; unknown fields are ignored; null counts as unset, as in proto3 JSON.
 *
 * @throws BundleError BUNDLE_MALFORMED, PAYLOAD_TYPE_UNSUPPORTED, SIGNATURE_MISSING, BUNDLE_TOO_COMPLEX or PAYLOAD_NOT_BASE64.
 */
export function readEnvelope(value: unknown, limits: BundleLimits): Envelope {
  if (!isJsonObject(value)) {
    throw mismatch("BUNDLE_MALFORMED", "DSSE envelope", "an object", kindOf(value));
  }
  const payloadType = readPayloadType(value);
  const signatures = readSignatures(value, limits);
  return { payloadType, ...readPayload(value, payloadType), signatures };
}

function readPayloadType(envelope: JsonObject): string {
  const payloadType = readText(envelope, "payloadType", "payloadType");
  if (payloadType !== PAYLOAD_TYPE && !PREDICATE_PAYLOAD_TYPE.test(payloadType)) {
    const actual = describe(envelope.payloadType);
    throw mismatch("PAYLOAD_TYPE_UNSUPPORTED", "payloadType", JSON.stringify(PAYLOAD_TYPE), actual);
  }
  return payloadType;
}

function readSignatures(envelope: JsonObject, limits: BundleLimits): Signature[] {
  const signatures = envelope.signatures ?? [];
  if (!Array.isArray(signatures)) {
    throw mismatch("BUNDLE_MALFORMED", "signatures", "an array", kindOf(signatures));
  }
  if (signatures.length === 0) {
    throw mismatch("SIGNATURE_MISSING", "signatures", "one or more", describe(envelope.signatures));
  }
  if (signatures.length > limits.signatures) {
    throw tooComplex("signatures", limits.signatures, "signatures", signatures.length);
  }
  return signatures.map((signature, index) => readSignature(signature, index, limits));
}

function readSignature(value: unknown, index: number, { textCharacters }: BundleLimits): Signature {
  const what = `signatures[${index}]`;
  if (value === null) {
    throw mismatch("SIGNATURE_MISSING", what, "a signature", "null");
  }
  if (!isJsonObject(value)) {
    throw mismatch("BUNDLE_MALFORMED", what, "an object", kindOf(value));
  }
  const text = readText(value, "sig", `${what}.sig`);
  if (text === "") {
    throw mismatch("SIGNATURE_MISSING", `${what}.sig`, "a signature in base64", describe(value.sig));
  }
  const sig = decodeBase64(text);
  if (!Buffer.isBuffer(sig)) {
    throw new BundleError(
      "BUNDLE_MALFORMED",
      `${what}.sig: not base64 at character ${sig.offset} (counted from 0): ${sig.reason}`,
      { metadata: { expected: "base64", actual: sig.reason, offset: String(sig.offset) } },
    );
  }
  const keyid = readText(value, "keyid", `${what}.keyid`);
  if (keyid.length > textCharacters) {
    throw tooComplex(`${what}.keyid`, textCharacters, "characters", keyid.length);
  }
  return { sig, keyid };
}

function readPayload(envelope: JsonObject, payloadType: string): Pick<Envelope, "payload" | "signed"> {
  const text = envelope.payload;
  if (typeof text !== "string") {
    throw mismatch("BUNDLE_MALFORMED", "payload", "a statement in base64", describe(text));
  }
  const head = Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${decodedLength(text)} `);
  const signed = decodeBase64(text, head);
  if (!Buffer.isBuffer(signed)) {
    throw new BundleError(
      "PAYLOAD_NOT_BASE64",
      `payload: not base64 at character ${signed.offset} (counted from 0): ${signed.reason}`,
      { metadata: { expected: "base64", actual: signed.reason, offset: String(signed.offset) } },
    );
  }
  return { payload: signed.subarray(head.length), signed };
}

function readText(from: JsonObject, field: string, what: string): string {
  const value = from[field] ?? "";
  if (typeof value !== "string") {
    throw mismatch("BUNDLE_MALFORMED", what, "a string", describe(value));
  }
  return value;
}
