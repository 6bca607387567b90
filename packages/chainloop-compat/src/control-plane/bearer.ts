import { decodeJwt } from "jose";

/** When the caller's token was made, in milliseconds since 1970. The chassis has verified it; this reads it again. */
export function bearerIssuedAt(headers: Headers): number | undefined {
  const token = headers.get("authorization")?.replace(/^bearer /i, "") ?? "";
  const { iat } = decodeJwt(token);
  return iat === undefined ? undefined : iat * 1_000;
}
