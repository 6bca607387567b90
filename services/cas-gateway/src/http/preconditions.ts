import type { IncomingHttpHeaders } from "node:http";
import { parse } from "range-parser";
import { digestOf } from "../blobs/blob-ref.ts";

// RFC 9110, sections 13 and 14, for what never changes: the digest is the entity tag, and there is no date.

/** Strong: who has the tag has the bytes. */
export function entityTag(hex: string): string {
  return `"${digestOf(hex)}"`;
}

/** Whether a read's answer depends on whether the blob is there, before any of it is read. */
export function hasPreconditions(headers: IncomingHttpHeaders): boolean {
  return headers["if-match"] !== undefined || headers["if-none-match"] !== undefined;
}

/** What the preconditions of a read make of a blob that is there: RFC 9110, section 13.2.2. */
export function judgePreconditions(headers: IncomingHttpHeaders, tag: string): "read" | "failed" | "not modified" {
  const { "if-match": wanted, "if-none-match": unwanted } = headers;
  if (wanted !== undefined && !namesTag(wanted, tag, isSame)) return "failed";
  if (unwanted !== undefined && namesTag(unwanted, tag, isSameOrWeak)) return "not modified";
  return "read";
}

/** The Range header, if it counts: `If-Range` names this blob, or is not there (RFC 9110, section 13.1.5). */
export function rangeAsked({ range, "if-range": condition }: IncomingHttpHeaders, tag: string): string | undefined {
  return condition === undefined || condition === tag ? range : undefined;
}

export interface ByteRange {
  offset: number;
  length: number;
}

/**
 * The one range of bytes that is asked for; "whole" if it is none of bytes, malformed or more than one, which a server
 * may answer as though it were not there (RFC 9110, section 14.2).
 */
export function byteRange(range: string, sizeBytes: number): ByteRange | "whole" | "unsatisfiable" {
  const { code, type, ranges } = parse(sizeBytes, range);
  if (type !== "bytes" || (code & malformed) !== 0) return "whole";
  const [only, ...others] = ranges;
  if (only === undefined) return (code & unsatisfiable) === 0 ? "whole" : "unsatisfiable";
  if (others.length > 0) return "whole";
  return { offset: only.start, length: only.end - only.start + 1 };
}

// Bits of the parser's code.
const malformed = 1;
const unsatisfiable = 2;

function namesTag(list: string, tag: string, isNamed: (candidate: string, tag: string) => boolean): boolean {
  if (list.trim() === "*") return true;
  return (list.match(/(?:W\/)?"[^"]*"/g) ?? []).some((candidate) => isNamed(candidate, tag));
}

function isSame(candidate: string, tag: string): boolean {
  return candidate === tag;
}

function isSameOrWeak(candidate: string, tag: string): boolean {
  return candidate === tag || candidate === `W/${tag}`;
}
