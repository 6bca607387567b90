import { createPublicKey, type KeyObject } from "node:crypto";

const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const LEAST_RSA_BITS = 2048;
// To verify by a longer modulus or exponent takes milliseconds. F4 is the exponent of all keys in use, but for a few smaller ones.
const MOST_RSA_BITS = 8192;
const MOST_RSA_EXPONENT = 65_537n;

export const KEYS_EXPECTED = `an ECDSA key (P-256, P-384, P-521), an RSA key of ${LEAST_RSA_BITS} to ${MOST_RSA_BITS} bits or an Ed25519 key`;

/**
 * A public key from its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), or how it is none that signatures are
 * verified by.
 */
export function readKey(spki: Buffer): KeyObject | string {
  return usableKey(() => createPublicKey({ key: spki, format: "der", type: "spki" }));
}

/** The key that `read` makes, or how it is none that signatures are verified by. */
export function usableKey(read: () => KeyObject): KeyObject | string {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    return "a key that cannot be read";
  }
  const { namedCurve = "", modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ec":
      return CURVES.has(namedCurve) ? key : `an ECDSA key on the curve ${namedCurve || "of its own"}`;
    case "rsa":
    case "rsa-pss":
      if (modulusLength < LEAST_RSA_BITS || modulusLength > MOST_RSA_BITS) {
        return `an RSA key of ${modulusLength} bits`;
      }
      return publicExponent <= MOST_RSA_EXPONENT ? key : "an RSA key with an exponent of more than 65537";
    case "ed25519":
      return key;
    default:
      return `a key of type ${key.asymmetricKeyType}`;
  }
}

const MOST_FAST_RSA_BITS = 4096;

/**
 * Whether a signature is verified by the key in a fraction of a millisecond, a wrong one too, for which each digest or
 * padding is tried: by P-384 and P-521 that takes 0.9 and 2 ms (OpenSSL 3), by RSA of 8,192 bits 0.4 ms.
 */
export function isFast({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const { namedCurve, modulusLength = 0 } = asymmetricKeyDetails ?? {};
  return asymmetricKeyType === "ec" ? namedCurve === "prime256v1" : modulusLength <= MOST_FAST_RSA_BITS;
}
