import {
  connectErrorOf,
  DomainError,
  type NodeRequest,
  type NodeResponse,
  type Reason,
  reasonOf,
} from "@attestry/service-kit";
import { Code } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { sendAnswer } from "./send-chunks.ts";

/** A refusal with a status that its code alone would not give, and perhaps headers. */
export class HttpRefusal extends DomainError {
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, reason: Reason, message: string, headers: Record<string, string> = {}) {
    super(reason, message);
    this.status = status;
    this.headers = headers;
  }
}

/** Where HTTP has a word for it that Connect's mapping of codes has not. */
const statuses: Partial<Record<Reason, number>> = {
  BLOB_TOO_LARGE: 413,
  DEADLINE_EXCEEDED: 408,
  BACKEND_FULL: 507,
  BACKEND_MISCONFIGURED: 500,
  SECRET_INVALID: 500,
};

/**
 * Answers a request that failed before its answer began, if that takes more than the status of the error's code: as a page
 * to a browser that opened a link, or with a status of its own. False: it does not.
 */
export function sendRefusal(
  request: NodeRequest,
  response: NodeResponse,
  error: unknown,
  { byLink }: { byLink: boolean },
): boolean {
  const refusal = connectErrorOf(error);
  const reason = reasonOf(refusal);
  const special = error instanceof HttpRefusal ? error.status : reason && statuses[reason];
  const isPage = byLink && (request.headers.accept ?? "").includes("text/html");
  if (special === undefined && !isPage) return false;
  const body = isPage ? page(reason, refusal.rawMessage) : errorToJsonBytes(refusal, undefined);
  const content = Buffer.from(body);
  const head = {
    status: special ?? codeToHttpStatus(refusal.code),
    headers: {
      "content-type": isPage ? "text/html; charset=utf-8" : "application/json",
      "content-length": content.byteLength,
      "cache-control": "no-store",
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      // RFC 6750, section 3.
      ...(refusal.code === Code.Unauthenticated && { "www-authenticate": "Bearer" }),
      ...(error instanceof HttpRefusal && error.headers),
    },
  };
  sendAnswer(request, response, head, content);
  return true;
}

function page(reason: Reason | undefined, message: string): string {
  const isOver = reason === "TOKEN_EXPIRED";
  const title = isOver ? "This link has expired" : "This link does not work";
  const advice = isOver
    ? "Download links live for a few minutes only. Ask whoever gave it to you for a new one."
    : "If it was given to you just now, ask for a new one.";
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body>
<h1>${title}</h1>
<p>${advice}</p>
<p><small>${escaped(message)}${reason === undefined ? "" : ` (${reason})`}</small></p>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
