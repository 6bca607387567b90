import { quote } from "./describe.ts";

const PAD = 0x3d;
const NOTHING = Buffer.alloc(0);

/** Why a text is not base64, and where: the offset counts characters of the text from 0. */
export type Base64Fault = { offset: number; reason: string };

/**
 * Decodes base64, strictly. Either alphabet is taken, with or without padding, as proto3 JSON demands of a reader
 * (protobuf.dev, "JSON mapping", bytes) and DSSE allows (envelope.md); nothing else is: no white space, no mixture of
 * the alphabets, no character outside them, no bits left over at the end. Two decoders can then never read two things
 * (RFC 4648 sections 3.3 and 3.5).
 *
 * Returns the bytes, behind `head` if there is one, or the first fault. Node's own decoder skips what it does not know, so what it made is encoded
 * again and compared: two native passes, 20 times as fast as one regular expression, and no stack to overflow.
 */
export function decodeBase64(text: string, head: Buffer = NOTHING): Buffer<ArrayBuffer> | Base64Fault {
  const encoding = text.includes("-") || text.includes("_") ? "base64url" : "base64";
  const bytes = Buffer.allocUnsafe(head.length + decodedLength(text));
  head.copy(bytes);
  const end = head.length + bytes.write(text, head.length, encoding);
  if (isEncodingOf(text, bytes.toString(encoding, head.length, end))) {
    return bytes.subarray(0, end);
  }
  return findFault(text);
}

/** How many bytes a text encodes, if it is base64. */
export function decodedLength(text: string): number {
  return Math.floor((unpaddedLength(text) * 3) / 4);
}

// Node pads base64 and leaves base64url bare; the text may do either.
function isEncodingOf(text: string, encoded: string): boolean {
  if (text === encoded) {
    return true;
  }
  if (text.length < encoded.length) {
    return encoded.startsWith(text) && text.length === unpaddedLength(encoded);
  }
  return text === encoded.padEnd(Math.ceil(encoded.length / 4) * 4, "=");
}

function unpaddedLength(text: string): number {
  let end = text.length;
  while (end > 0 && text.length - end < 2 && text.charCodeAt(end - 1) === PAD) {
    end--;
  }
  return end;
}

function findFault(text: string): Base64Fault {
  const digits = unpaddedLength(text);
  let first: "standard" | "URL-safe" | undefined;
  for (let offset = 0; offset < digits; offset++) {
    const alphabet = alphabetOf(text.charCodeAt(offset));
    if (alphabet === undefined) {
      return strangerAt(text, offset);
    }
    if (alphabet !== "both") {
      first ??= alphabet;
      if (alphabet !== first) {
        return { offset, reason: `${quote(text.charAt(offset))} is ${alphabet} after characters that are ${first}` };
      }
    }
  }
  if (digits % 4 === 1) {
    return { offset: digits - 1, reason: `${digits} characters without padding: 4n + 1 encode no bytes` };
  }
  if (digits < text.length && text.length % 4 !== 0) {
    return { offset: digits, reason: `padding of ${text.length - digits} after ${digits} characters` };
  }
  return { offset: digits - 1, reason: "the last character has bits that belong to no byte" };
}

// What follows padding is at fault rather than the padding, where it is no base64 either: a line end, most often.
function strangerAt(text: string, from: number): Base64Fault {
  let offset = from;
  while (text.charCodeAt(offset) === PAD) {
    offset++;
  }
  if (offset === text.length || alphabetOf(text.charCodeAt(offset)) !== undefined) {
    offset = from;
  }
  const character = String.fromCodePoint(text.codePointAt(offset) ?? 0);
  return {
    offset,
    reason: `${quote(character)} ${character === "=" ? "is not at its place" : "is not in its alphabet"}`,
  };
}

function alphabetOf(code: number): "both" | "standard" | "URL-safe" | undefined {
  if ((code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39)) {
    return "both";
  }
  if (code === 0x2b || code === 0x2f) {
    return "standard";
  }
  return code === 0x2d || code === 0x5f ? "URL-safe" : undefined;
}
