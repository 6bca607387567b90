import { constants, createPublicKey, type KeyObject } from "node:crypto";

/** A public key, and how signatures are verified by it. */
export type PublicKey = {
  object: KeyObject;
  /** Of its curve, or of its type where it has none. */
  name: string;
  /** A signature is good if it is so in one of these ways. */
  ways: readonly VerificationWay[];
  /**
   * Whether a signature is verified by the key in a fraction of a millisecond, a wrong one too, for which each way is
   * tried: by P-384 and P-521 that takes 0.9 and 2 ms (OpenSSL 3), by RSA of 8,192 bits 0.4 ms.
   */
  isFast: boolean;
};

/** The digest is null where the algorithm has its own. */
export type VerificationWay = { digest: string | null; padding?: number };

type Kind = Omit<PublicKey, "object">;

const P256: Kind = { name: "prime256v1", ways: [{ digest: "sha256" }], isFast: true };
// The digest that goes with the curve (sigstore_common.proto, PublicKeyDetails), then SHA-256, with which older clients
// sign by any key.
const CURVES: Readonly<Record<string, Kind>> = {
  prime256v1: P256,
  secp384r1: { name: "secp384r1", ways: [{ digest: "sha384" }, { digest: "sha256" }], isFast: false },
  secp521r1: { name: "secp521r1", ways: [{ digest: "sha512" }, { digest: "sha256" }], isFast: false },
};
const LEAST_RSA_BITS = 2048;
// To verify by a longer modulus or exponent takes milliseconds. F4 is the exponent of all keys in use, but for a few smaller ones.
const MOST_RSA_BITS = 8192;
const MOST_RSA_EXPONENT = 65_537n;
const MOST_FAST_RSA_BITS = 4096;

export const KEYS_EXPECTED = `an ECDSA key (P-256, P-384, P-521), an RSA key of ${LEAST_RSA_BITS} to ${MOST_RSA_BITS} bits or an Ed25519 key`;

// The algorithm of a P-256 key, id-ecPublicKey with the curve prime256v1, and the beginning of its bit string, whose
// 65 octets follow (RFC 5480 section 2).
const P256_ALGORITHM = Buffer.from("301306072a8648ce3d020106082a8648ce3d030107034200", "hex");
const P256_POINT = 65;

/**
 * A public key from its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), or how it is none that signatures are
 * verified by.
 */
export function readKey(spki: Buffer): PublicKey | string {
  return usableKey(() => createPublicKey({ key: spki, format: "der", type: "spki" }));
}

/**
 * The key that `read` makes, or how it is none that signatures are verified by. `info` is what its SubjectPublicKeyInfo
 * holds, if it is at hand: by it a P-256 key is known at once, where Node takes 10 µs to say of which curve a key is.
 */
export function usableKey(read: () => KeyObject, info?: Buffer): PublicKey | string {
  let object: KeyObject;
  let kind: Kind | string;
  try {
    object = read();
    kind = info !== undefined && isP256(info) ? P256 : kindOf(object);
  } catch {
    return "a key that cannot be read";
  }
  return typeof kind === "string" ? kind : { object, ...kind };
}

function isP256(info: Buffer): boolean {
  const { length } = P256_ALGORITHM;
  return info.length === length + P256_POINT && info.subarray(0, length).equals(P256_ALGORITHM);
}

function kindOf({ asymmetricKeyType: type, asymmetricKeyDetails: details = {} }: KeyObject): Kind | string {
  const { namedCurve = "", modulusLength = 0, publicExponent = 0n, hashAlgorithm = "sha256" } = details;
  switch (type) {
    case "ec":
      return CURVES[namedCurve] ?? `an ECDSA key on the curve ${namedCurve || "of its own"}`;
    case "rsa":
    case "rsa-pss":
      if (modulusLength < LEAST_RSA_BITS || modulusLength > MOST_RSA_BITS) {
        return `an RSA key of ${modulusLength} bits`;
      }
      if (publicExponent > MOST_RSA_EXPONENT) {
        return "an RSA key with an exponent of more than 65537";
      }
      return {
        name: type,
        ways: type === "rsa-pss" ? [{ digest: hashAlgorithm }] : RSA_WAYS,
        isFast: modulusLength <= MOST_FAST_RSA_BITS,
      };
    case "ed25519":
      return { name: type, ways: [{ digest: null }], isFast: true };
    default:
      return `a key of type ${type}`;
  }
}

const RSA_WAYS: readonly VerificationWay[] = [
  { digest: "sha256", padding: constants.RSA_PKCS1_PADDING },
  { digest: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING },
];
