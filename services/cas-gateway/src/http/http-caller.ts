import { authorize, type CasPrincipal, DomainError, type NodeRequest, type Principal } from "@attestry/service-kit";
import { access } from "../access.ts";
import type { Purpose } from "../callers/callers.ts";
import type { Context } from "../context.ts";
import type { BlobUrl } from "./blob-url.ts";
import type { Exchange } from "./exchange.ts";

/** Who may do over HTTP what is done by these calls otherwise. */
const methods: Record<Purpose, string> = {
  download: "google.bytestream.ByteStream/Read",
  upload: "google.bytestream.ByteStream/Write",
};

/** Whether the caller is told by the URL itself: anyone who has it is let in. */
export function isLink(request: NodeRequest, { token }: BlobUrl): boolean {
  return token !== undefined && request.headers.authorization === undefined && request.method !== "PUT";
}

/**
 * The caller's backends, by the Authorization header or the token of a link. Throws what authentication throws,
 * ROLE_INSUFFICIENT, and what `Callers.of` throws.
 */
export async function httpCaller(
  context: Context,
  { request, url, authenticate }: Exchange,
  purpose: Purpose,
): Promise<CasPrincipal> {
  const byLink = isLink(request, url);
  const principal = await (byLink ? authenticate(url.token) : authenticate());
  if (byLink) checkLink(principal);
  const method = methods[purpose];
  authorize(method, access[method] ?? {}, principal);
  return context.callers.of(principal, purpose, url.instance);
}

/** URLs end up in histories and logs: only a token that reads one blob, and soon runs out, is taken from there. */
function checkLink(principal: Principal): void {
  if (principal.kind === "cas" && principal.role === "downloader" && principal.digest !== undefined) return;
  const expected = "a CAS token that reads one blob";
  throw new DomainError(
    "ROLE_INSUFFICIENT",
    `a token in the URL must be ${expected}; send any other in the header \`authorization: Bearer <token>\``,
    {
      metadata: {
        expected,
        actual:
          principal.kind === "cas"
            ? `a CAS token with the role ${principal.role}`
            : `a token of the kind ${principal.kind}`,
      },
    },
  );
}
