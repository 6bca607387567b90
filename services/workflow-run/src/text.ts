import { DomainError, type Reason } from "@attestry/service-kit";

export interface Rule {
  pattern: RegExp;
  expected: string;
}

/** Names of organizations and backends. */
export const nameRule: Rule = {
  pattern: /^[a-z0-9][a-z0-9-]{0,62}$/,
  expected: "1 to 63 lower-case letters, digits and '-', beginning with a letter or digit",
};

/** Names of projects, workflows and tokens. */
export const looseNameRule: Rule = {
  pattern: /^[A-Za-z0-9._-]{1,128}$/,
  expected: "1 to 128 letters, digits, '.', '_' and '-'",
};

/** The text, if it keeps the rule. Throws NAME_INVALID, or the reason given. */
export function parseName(text: string, rule: Rule, what: string, reason: Reason = "NAME_INVALID"): string {
  if (rule.pattern.test(text)) return text;
  const actual = text.slice(0, 150);
  throw new DomainError(
    reason,
    `${what} must be ${rule.expected}; came ${actual === "" ? "nothing" : JSON.stringify(actual)}`,
    {
      metadata: { expected: rule.expected, actual },
    },
  );
}

/** One line of printable characters, or nothing. Throws REQUEST_INVALID. */
export function parseLine(text: string, maxLength: number, what: string): string {
  if (/^[^\p{C}\p{Zl}\p{Zp}]*$/u.test(text)) return parseLength(text, maxLength, what);
  throw new DomainError("REQUEST_INVALID", `${what} must be printable characters in one line; it has others`);
}

/** Free text of a person. PostgreSQL keeps no zero bytes. Throws REQUEST_INVALID. */
export function parseProse(text: string, maxLength: number, what: string): string {
  if (!text.includes("\0")) return parseLength(text, maxLength, what);
  throw new DomainError("REQUEST_INVALID", `${what} must not contain zero bytes`);
}

function parseLength(text: string, maxLength: number, what: string): string {
  const { length } = Array.from(text);
  if (length <= maxLength) return text;
  throw new DomainError("REQUEST_INVALID", `${what} must have at most ${maxLength} characters; came ${length}`, {
    metadata: { expected: `0..${maxLength}`, actual: String(length) },
  });
}
