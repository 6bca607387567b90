import type { IncomingHttpHeaders } from "node:http";
import type { Authenticator } from "./authenticator.ts";
import type { Principal } from "./principal.ts";

/**
 * Who sends an HTTP request: the bearer of the token, where a link carries one, or else of the Authorization header.
 * Throws what `Authenticator.authenticate` throws. Whether they may is `authorize`'s to say.
 */
export function authenticateHttp(
  authenticator: Authenticator,
  from: { headers: IncomingHttpHeaders; token?: string | undefined },
): Promise<Principal> {
  const { headers, token } = from;
  return authenticator.authenticate(token === undefined ? (headers.authorization ?? null) : `Bearer ${token}`);
}
