import { decodeJwt, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";

/** Asymmetric ones only: with a shared secret, whoever verifies could sign. */
const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const longestToken = 16 * 1_024;
/** Clocks may differ by so much. */
const leewaySeconds = 30;

/** What an ID token says, unverified; undefined: it is none, or names no issuer. */
export function readIdToken(token: string): JWTPayload | undefined {
  if (token.length > longestToken) return undefined;
  try {
    const claims = decodeJwt(token);
    return typeof claims.iss === "string" ? claims : undefined;
  } catch {
    return undefined;
  }
}

/** The claims of an ID token: signed by a key of its issuer, running out, and neither over nor from the future. Throws what jose throws. */
export async function verifyIdToken(token: string, issuer: string, keys: JWTVerifyGetKey): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms,
    issuer,
    clockTolerance: leewaySeconds,
    requiredClaims: ["exp", "iat", "aud", "sub"],
    // With it jose refuses an `iat` that is yet to come.
    maxTokenAge: "24h",
  });
  if (typeof payload.sub !== "string") throw new Error("the claim sub is no text");
  return payload;
}
