import { verify } from "node:crypto";
import { decodeBase64 } from "../base64.ts";
import type { Envelope } from "../envelope.ts";
import { mismatch } from "../error.ts";
import type { PublicKey } from "./key.ts";

/** More would only hold up who verifies; a Sigstore bundle has exactly one. */
export const MOST_SIGNATURES = 16;

/**
 * Verifies all signatures of an envelope by one key, and returns them as the key made them. An envelope with a signature
 * by another key is refused, never called verified on the word of some.
 *
 * @throws BundleError SIGNATURE_INVALID
 */
export function verifyEnvelope(envelope: Envelope, key: PublicKey): Buffer[] {
  const { signatures } = envelope;
  const good = goodSignatures(envelope, key);
  if (good.length < signatures.length) {
    if (signatures.length > MOST_SIGNATURES) {
      throw mismatch("SIGNATURE_INVALID", "signatures", `at most ${MOST_SIGNATURES}`, String(signatures.length));
    }
    const by = `a signature of payloadType and payload by the ${key.name} key`;
    const which = signatures.length === 1 ? "signature" : `signature ${good.length + 1} of ${signatures.length}`;
    throw mismatch("SIGNATURE_INVALID", which, by, "one that is not");
  }
  return good;
}

/** Whether the key made all signatures of the envelope. */
export function isSignedBy(envelope: Envelope, key: PublicKey): boolean {
  return goodSignatures(envelope, key).length === envelope.signatures.length;
}

// The signatures up to the first that is not good.
function goodSignatures(envelope: Envelope, key: PublicKey): Buffer[] {
  const good: Buffer[] = [];
  if (envelope.signatures.length > MOST_SIGNATURES) {
    return good;
  }
  for (const { sig } of envelope.signatures) {
    const found = spellings(sig).find((signature) => isSignature(envelope.signed, key, signature));
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

function isSignature(data: Buffer, { object: key, ways }: PublicKey, signature: Buffer): boolean {
  return ways.some(({ digest, padding }) =>
    verify(digest, data, padding === undefined ? key : { key, padding }, signature),
  );
}
