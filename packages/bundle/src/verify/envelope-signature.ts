import { constants, type KeyObject, verify } from "node:crypto";
import { decodeBase64 } from "../base64.ts";
import type { Envelope } from "../envelope.ts";
import { mismatch } from "../error.ts";

/** More would only hold up who verifies; a Sigstore bundle has exactly one. */
export const MOST_SIGNATURES = 16;

// The digest that goes with the curve (sigstore_common.proto, PublicKeyDetails), then SHA-256, with which older clients
// sign by any key.
const DIGESTS: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ["sha256"],
  secp384r1: ["sha384", "sha256"],
  secp521r1: ["sha512", "sha256"],
};
const RSA_PADDINGS = [constants.RSA_PKCS1_PADDING, constants.RSA_PKCS1_PSS_PADDING] as const;

/**
 * Verifies all signatures of an envelope by one key, and returns them as the key made them. An envelope with a signature
 * by another key is refused, never called verified on the word of some.
 *
 * @throws BundleError SIGNATURE_INVALID
 */
export function verifyEnvelope(envelope: Envelope, key: KeyObject): Buffer[] {
  const { signatures } = envelope;
  const good = goodSignatures(envelope, key);
  if (good.length < signatures.length) {
    if (signatures.length > MOST_SIGNATURES) {
      throw mismatch("SIGNATURE_INVALID", "signatures", `at most ${MOST_SIGNATURES}`, String(signatures.length));
    }
    const by = `a signature of payloadType and payload by the ${nameOf(key)} key`;
    const which = signatures.length === 1 ? "signature" : `signature ${good.length + 1} of ${signatures.length}`;
    throw mismatch("SIGNATURE_INVALID", which, by, "one that is not");
  }
  return good;
}

/** Whether the key made all signatures of the envelope. */
export function isSignedBy(envelope: Envelope, key: KeyObject): boolean {
  return goodSignatures(envelope, key).length === envelope.signatures.length;
}

/**
 * What is signed: the pre-authentication encoding of type and payload (secure-systems-lab/dsse, protocol.md). Its
 * lengths are bytes.
 */
export function preAuthEncoding({ payloadType, payload }: Envelope): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

// The signatures up to the first that is not good.
function goodSignatures(envelope: Envelope, key: KeyObject): Buffer[] {
  const good: Buffer[] = [];
  if (envelope.signatures.length > MOST_SIGNATURES) {
    return good;
  }
  const data = preAuthEncoding(envelope);
  for (const { sig } of envelope.signatures) {
    const found = spellings(sig).find((signature) => isSignature(data, key, signature));
    if (found === undefined) {
      break;
    }
    good.push(found);
  }
  return good;
}

// Some older clients encoded the good signature twice.
function spellings(sig: Buffer): Buffer[] {
  const inner = decodeBase64(sig.toString("latin1"));
  return Buffer.isBuffer(inner) ? [sig, inner] : [sig];
}

function isSignature(data: Buffer, key: KeyObject, signature: Buffer): boolean {
  switch (key.asymmetricKeyType) {
    case "ec": {
      const digests = DIGESTS[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? [];
      return digests.some((digest) => verify(digest, data, key, signature));
    }
    case "rsa":
      return RSA_PADDINGS.some((padding) => verify("sha256", data, { key, padding }, signature));
    case "rsa-pss":
      return verify(key.asymmetricKeyDetails?.hashAlgorithm ?? "sha256", data, key, signature);
    case "ed25519":
      return verify(null, data, key, signature);
    default:
      return false;
  }
}

function nameOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  return asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType ?? "";
}
