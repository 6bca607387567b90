import { isUtf8 } from "node:buffer";
import { quote } from "./describe.ts";
import { findJsonFault } from "./json-fault.ts";
import { NameWatch, type RepeatedName } from "./json-names.ts";
import { excessOf } from "./json-shape.ts";
import type { BundleLimits } from "./limits.ts";

const BYTE_ORDER_MARK = 0xfeff;
const BYTE_ORDER_MARK_BYTES = 3;

export type JsonRefusal = {
  problem: "excess" | "syntax" | "several" | "repeated";
  /** A clause for a message: what was expected where, and what came; of the text one character or a name, never more. */
  reason: string;
};

/** No object may have a name twice, but within the value of one member of the outermost object. */
export type UniqueNames = { except?: string };

/**
 * The text that the bytes are in UTF-8, a byte order mark at its start included; undefined if they are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) {
    return undefined;
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/**
 * The other Unicode encoding that the bytes are in, by mark or by where the first character has its zeros (what stands
 * first in JSON is ASCII, RFC 8259 section 2).
 */
export function otherUnicodeOf(bytes: Uint8Array): string | undefined {
  const [a = 1, b = 1, c = 1, d = 1] = bytes;
  if (a === 0 && b === 0 && (c !== 0 || d !== 0)) {
    return "UTF-32, big endian";
  }
  if (c === 0 && d === 0 && ((a === 0xff && b === 0xfe) || (a !== 0 && b === 0))) {
    return "UTF-32, little endian";
  }
  if ((a === 0xfe && b === 0xff) || (a === 0 && b !== 0)) {
    return "UTF-16, big endian";
  }
  return (a === 0xff && b === 0xfe) || (a !== 0 && b === 0) ? "UTF-16, little endian" : undefined;
}

/**
 * Parses a JSON text, with or without a byte order mark (a reader may ignore it, RFC 8259 section 8.1). Of a name that
 * stands twice in one object the last counts, as with most readers, unless names must be unique.
 */
export function readJson(text: string, limits: BundleLimits, unique?: UniqueNames): { value: unknown } | JsonRefusal {
  const marked = text.charCodeAt(0) === BYTE_ORDER_MARK;
  const json = marked ? text.slice(1) : text;
  const skippedBytes = marked ? BYTE_ORDER_MARK_BYTES : 0;
  const names = unique === undefined ? undefined : new NameWatch(unique.except);
  const excess = excessOf(json, limits, names);
  if (excess !== undefined) {
    return { problem: "excess", reason: excess };
  }
  try {
    const value = JSON.parse(json);
    return names?.repeated === undefined ? { value } : repeatedRefusal(json, skippedBytes, names.repeated);
  } catch (error) {
    // The error is not kept as a cause: its message quotes the text.
    if (error instanceof RangeError) {
      return { problem: "excess", reason: "nested too deeply" };
    }
    return syntaxRefusal(json, skippedBytes);
  }
}

function repeatedRefusal(json: string, skippedBytes: number, { name, offset }: RepeatedName): JsonRefusal {
  const at = skippedBytes + Buffer.byteLength(json.slice(0, offset));
  return {
    problem: "repeated",
    reason: `expected each name of an object once, got ${quote(name)} again at byte ${at}`,
  };
}

function syntaxRefusal(json: string, skippedBytes: number): JsonRefusal {
  const { offset, expected, afterValue } = findJsonFault(json);
  const at = skippedBytes + Buffer.byteLength(json.slice(0, offset));
  const actual = offset >= json.length ? "the end" : quote(String.fromCodePoint(json.codePointAt(offset) ?? 0));
  const several = afterValue && '{["'.includes(json.charAt(offset));
  return {
    problem: several ? "several" : "syntax",
    reason: `expected ${expected} at byte ${at}, got ${actual}`,
  };
}
