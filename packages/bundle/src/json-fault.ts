/** Where a text stops being JSON: the offset counts UTF-16 units from 0. */
export type JsonFault = {
  offset: number;
  expected: string;
  /** A whole value came before, so the text is not broken but goes on. */
  afterValue: boolean;
};

const OBJECT = 1;
const ARRAY = 2;
const KEYWORDS: Readonly<Record<string, string>> = { t: "true", f: "false", n: "null" };

type Step = "value" | "value or ]" | "name" | "name or }" | "colon" | "after";

/**
 * The first fault of a text that JSON.parse refused (grammar: RFC 8259). The engine's own message gives no offset in
 * some cases and quotes the text in others, so its fault is looked for again; a loop, since the text may be nested as
 * deeply as it is long.
 */
export function findJsonFault(text: string): JsonFault {
  const open = new Uint8Array(text.length);
  let depth = 0;
  let step: Step = "value";
  let at = 0;
  for (;;) {
    at = skipBlanks(text, at);
    const char = text.charAt(at);
    if (step === "after" && depth === 0) {
      return { offset: at, expected: "the end", afterValue: true };
    }
    if (step === "after") {
      const inObject = open[depth - 1] === OBJECT;
      if (char === ",") {
        step = inObject ? "name" : "value";
      } else if (char === (inObject ? "}" : "]")) {
        depth--;
      } else {
        return fault(at, inObject ? '"," or "}"' : '"," or "]"');
      }
      at++;
    } else if (step === "colon") {
      if (char !== ":") {
        return fault(at, '":"');
      }
      step = "value";
      at++;
    } else if ((step === "name or }" && char === "}") || (step === "value or ]" && char === "]")) {
      depth--;
      step = "after";
      at++;
    } else if (step === "name" || step === "name or }") {
      if (char !== '"') {
        return fault(at, step === "name" ? "a name in quotes" : 'a name in quotes or "}"');
      }
      const end = scanString(text, at);
      if (typeof end !== "number") {
        return end;
      }
      at = end;
      step = "colon";
    } else if (char === "{" || char === "[") {
      open[depth++] = char === "{" ? OBJECT : ARRAY;
      step = char === "{" ? "name or }" : "value or ]";
      at++;
    } else {
      const end = scanScalar(text, at);
      if (typeof end !== "number") {
        return end;
      }
      at = end;
      step = "after";
    }
  }
}

function fault(offset: number, expected: string): JsonFault {
  return { offset, expected, afterValue: false };
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code === 0x20 || (code >= 0x09 && code <= 0x0d); code = text.charCodeAt(at)) {
    if (code === 0x0b || code === 0x0c) {
      break;
    }
    at++;
  }
  return at;
}

function scanScalar(text: string, at: number): number | JsonFault {
  const char = text.charAt(at);
  if (char === '"') {
    return scanString(text, at);
  }
  if (char === "-" || isDigit(text, at)) {
    return scanNumber(text, at);
  }
  const keyword = KEYWORDS[char];
  if (keyword === undefined) {
    return fault(at, "a JSON value");
  }
  let length = 1;
  while (length < keyword.length && text.charAt(at + length) === keyword.charAt(length)) {
    length++;
  }
  return length === keyword.length ? at + length : fault(at + length, keyword);
}

function scanString(text: string, from: number): number | JsonFault {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      return at + 1;
    }
    if (code < 0x20) {
      return fault(at, "no bare control character in a string");
    }
    if (code === 0x5c) {
      at++;
      const escaped = text.charAt(at);
      if (escaped === "u") {
        for (const last = at + 4; at < last; at++) {
          if (!/^[0-9A-Fa-f]$/.test(text.charAt(at + 1))) {
            return fault(at + 1, "four hexadecimal digits");
          }
        }
      } else if (escaped === "" || !'"\\/bfnrt'.includes(escaped)) {
        return fault(at, "a JSON escape");
      }
    }
  }
  return fault(text.length, "the end of a string");
}

function scanNumber(text: string, from: number): number | JsonFault {
  let at = text.charAt(from) === "-" ? from + 1 : from;
  const integer = skipDigits(text, at);
  if (integer === at) {
    return fault(at, "a digit");
  }
  // A leading zero ends the integer; what follows it is the fault of whoever comes next.
  at = text.charAt(at) === "0" ? at + 1 : integer;
  if (text.charAt(at) === ".") {
    const end = skipDigits(text, at + 1);
    if (end === at + 1) {
      return fault(end, "a digit");
    }
    at = end;
  }
  if (text.charAt(at) === "e" || text.charAt(at) === "E") {
    const sign = text.charAt(at + 1);
    const start = sign === "+" || sign === "-" ? at + 2 : at + 1;
    const end = skipDigits(text, start);
    if (end === start) {
      return fault(end, "a digit");
    }
    at = end;
  }
  return at;
}

function skipDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text, at)) {
    at++;
  }
  return at;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0x30 && code <= 0x39;
}
