import type { HttpRoute, Keyring } from "@attestry/service-kit";

/**
 * The public keys by which API and CAS tokens are verified, for everybody: `GET /.well-known/jwks.json`, a JWK set
 * (RFC 7517, section 5).
 */
export function createJwksRoute(keyring: Keyring): HttpRoute {
  const body = Buffer.from(`${JSON.stringify({ keys: keyring.tokenKeys })}\n`);
  return {
    prefix: "/.well-known/jwks.json",
    async handle(request, response) {
      const isRead = request.method === "GET" || request.method === "HEAD";
      response.statusCode = isRead ? 200 : 405;
      if (isRead) {
        response.setHeader("content-type", "application/jwk-set+json");
        response.setHeader("cache-control", "public, max-age=300");
        response.setHeader("content-length", body.length);
      } else {
        response.setHeader("allow", "GET, HEAD");
      }
      response.end(request.method === "GET" ? body : "");
    },
  };
}
