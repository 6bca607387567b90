import { DomainError } from "../errors/domain-error.ts";
import type { AuditEntry } from "./audit-log.ts";

const mostEntries = 200;
const mostDetails = 50;
/** Characters of one text: what people and machines put there is far below, and 200 events stay far below a request's bound. */
const longestText = 1_024;

/** The events of a request, 1 to 200, each whole and bounded. Throws REQUEST_INVALID. */
export function parseAuditEntries(events: readonly AuditEntry[]): AuditEntry[] {
  if (events.length < 1 || events.length > mostEntries) {
    throw new DomainError("REQUEST_INVALID", `events must be 1 to ${mostEntries}; came ${events.length}`, {
      metadata: { expected: `1..${mostEntries}`, actual: String(events.length) },
    });
  }
  return events.map(parseEntry);
}

function parseEntry({ actor, action, resource, detail }: AuditEntry, index: number): AuditEntry {
  const what = `events[${index}]`;
  const details = Object.entries(detail);
  if (details.length > mostDetails) {
    throw new DomainError(
      "REQUEST_INVALID",
      `${what}.detail must have at most ${mostDetails} values; came ${details.length}`,
      { metadata: { expected: `0..${mostDetails}`, actual: String(details.length) } },
    );
  }
  for (const [name, value] of details) {
    parseAuditText(name, `a name in ${what}.detail`);
    if (value !== "") parseAuditText(value, `a value in ${what}.detail`);
  }
  return {
    actor: parseAuditText(actor, `${what}.actor`),
    action: parseAuditText(action, `${what}.action`),
    resource: parseAuditText(resource, `${what}.resource`),
    detail,
  };
}

/** One text of an event: 1 to 1,024 characters. PostgreSQL keeps no zero bytes. Throws REQUEST_INVALID. */
export function parseAuditText(text: string, what: string): string {
  const { length } = text;
  if (length >= 1 && length <= longestText && !text.includes("\0")) return text;
  const came = text.includes("\0") ? "a zero byte" : `${length} characters`;
  throw new DomainError(
    "REQUEST_INVALID",
    `${what} must have 1 to ${longestText} characters, no zero bytes; came ${came}`,
    {
      metadata: { expected: `1..${longestText}`, actual: came },
    },
  );
}
