import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { BUNDLE_ERROR_CODES, BundleError, parseBundle } from "../src/index.ts";
import { bundleOf, bytesOf, fixture, refusalOf, refusalText } from "./support.ts";

const TEXT = JSON.stringify(bundleOf());
const GOOD = Buffer.from(TEXT);

/** A bare Snappy block that holds the text as one literal. */
function snappyBlock(text: Buffer): Buffer {
  const header = [];
  for (let rest = text.length; ; rest >>>= 7) {
    if (rest < 0x80) {
      header.push(rest);
      break;
    }
    header.push((rest & 0x7f) | 0x80);
  }
  header.push(61 << 2, (text.length - 1) & 0xff, (text.length - 1) >> 8);
  return Buffer.concat([Buffer.from(header), text]);
}

function utf32(text: string, order: "LE" | "BE"): Buffer {
  const bytes = Buffer.alloc(text.length * 4);
  for (let i = 0; i < text.length; i++) {
    bytes[`writeUInt32${order}`](text.charCodeAt(i), i * 4);
  }
  return bytes;
}

const utf16 = Buffer.from(TEXT, "utf16le");
const utf16Marked = Buffer.from(`\ufeff${TEXT}`, "utf16le");

describe("bytes that are no JSON text", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", Buffer.alloc(0), /^BUNDLE_EMPTY: .*0 bytes/],
    ["blanks", Buffer.from(" \t\r\n"), /^BUNDLE_EMPTY: .*white space \(4 bytes\)/],
    ["a line end", Buffer.from("\n"), /^BUNDLE_EMPTY/],
    ["a byte order mark alone", Buffer.from("\ufeff"), /^BUNDLE_EMPTY/],
    ["a byte order mark and blanks", Buffer.from("\ufeff \r\n"), /^BUNDLE_EMPTY/],
    ["many blanks", Buffer.alloc(1e6, " "), /^BUNDLE_EMPTY/],

    ["gzip", gzipSync(GOOD), /^BUNDLE_COMPRESSED: .*gzip/],
    ["zlib", deflateSync(GOOD), /^BUNDLE_COMPRESSED: .*zlib/],
    ["zlib, fast", deflateSync(GOOD, { level: 1 }), /^BUNDLE_COMPRESSED: .*zlib/],
    ["Zstandard", zstdCompressSync(GOOD), /^BUNDLE_COMPRESSED: .*Zstandard/],
    ["bzip2", Buffer.from("BZh91AY&SY"), /^BUNDLE_COMPRESSED: .*bzip2/],
    ["xz", Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4]), /^BUNDLE_COMPRESSED: .*xz/],
    ["ZIP", Buffer.from("PK\u0003\u0004\u0014"), /^BUNDLE_COMPRESSED: .*ZIP/],
    ["framed Snappy", Buffer.from("ff060000734e61507059", "hex"), /^BUNDLE_COMPRESSED: .*Snappy/],
    ["a Snappy block", snappyBlock(GOOD), /^BUNDLE_COMPRESSED: .*Snappy/],
    ["a Snappy block, indented", snappyBlock(bytesOf(JSON.stringify(bundleOf(), null, 2))), /^BUNDLE_COMPRESSED/],
    ["a Snappy block with a mark", snappyBlock(Buffer.from(`\ufeff${TEXT}`)), /^BUNDLE_COMPRESSED/],
    ["a Snappy block of an array", snappyBlock(Buffer.from(`[${TEXT}]`)), /^BUNDLE_COMPRESSED/],
    // A literal length of one byte, as for any short first run.
    ["a Snappy block, short literal", Buffer.from([0x80, 8, 60 << 2, 99, ...Buffer.alloc(300, "{")]), /^BUNDLE_COMPR/],
    ["gzip, two bytes of it", Buffer.from([0x1f, 0x8b]), /^BUNDLE_COMPRESSED/],

    ["UTF-16 LE", utf16, /^BUNDLE_NOT_UTF8: bundle is not UTF-8: .*UTF-16, little endian/],
    ["UTF-16 LE with mark", utf16Marked, /^BUNDLE_NOT_UTF8: .*UTF-16, little endian/],
    ["UTF-16 BE", Buffer.from(utf16).swap16(), /^BUNDLE_NOT_UTF8: .*UTF-16, big endian/],
    ["UTF-16 BE with mark", Buffer.from(utf16Marked).swap16(), /^BUNDLE_NOT_UTF8: .*UTF-16, big endian/],
    ["UTF-16, blank", Buffer.from("fffe2000", "hex"), /^BUNDLE_NOT_UTF8: .*UTF-16/],
    ["UTF-32 LE", utf32(TEXT, "LE"), /^BUNDLE_NOT_UTF8: .*UTF-32, little endian/],
    ["UTF-32 LE with mark", utf32(`\ufeff${TEXT}`, "LE"), /^BUNDLE_NOT_UTF8: .*UTF-32, little endian/],
    ["UTF-32 BE", utf32(TEXT, "BE"), /^BUNDLE_NOT_UTF8: .*UTF-32, big endian/],
    ["UTF-32 BE with mark", utf32(`\ufeff${TEXT}`, "BE"), /^BUNDLE_NOT_UTF8: .*UTF-32, big endian/],
    ["Latin-1", Buffer.from('{"é":1}', "latin1"), /^BUNDLE_NOT_UTF8/],
    ["an overlong form", Buffer.from('{"\u00c0\u00af":1}', "latin1"), /^BUNDLE_NOT_UTF8/],
    ["a surrogate in UTF-8", Buffer.from("22eda08022", "hex"), /^BUNDLE_NOT_UTF8/],
    ["cut within a character", Buffer.from('{"é').subarray(0, 3), /^BUNDLE_NOT_UTF8/],
    ["a bundle with a bad byte", Buffer.concat([GOOD.subarray(0, 20), Buffer.from([0xff]), GOOD]), /^BUNDLE_NOT_UTF8/],

    ["cut short", GOOD.subarray(0, 100), /^BUNDLE_NOT_JSON: .*at byte 100, got the end/],
    ["cut short after a mark", Buffer.from(`\ufeff${TEXT.slice(0, 100)}`), /^BUNDLE_NOT_JSON: .*at byte 103/],
    ["bytes, not characters", Buffer.from('{"é€":x}'), /^BUNDLE_NOT_JSON: .*a JSON value at byte 9, got "x"/],
    ["HTML", Buffer.from("<html>secret</html>"), /^BUNDLE_NOT_JSON: .*at byte 0, got "<"/],
    ["PEM", Buffer.from("-----BEGIN CERTIFICATE-----"), /^BUNDLE_NOT_JSON: .*a digit at byte 1, got "-"/],
    ["base64", Buffer.from(GOOD.toString("base64")), /^BUNDLE_NOT_JSON: .*at byte 0, got "e"/],
    ["single quotes", Buffer.from("{'a':1}"), /^BUNDLE_NOT_JSON: .*a name in quotes or "}" at byte 1, got "'"/],
    ["a comma too many", Buffer.from(`${TEXT.slice(0, -1)},}`), /^BUNDLE_NOT_JSON: .*a name in quotes/],
    ["a comment", Buffer.from(`// bundle\n${TEXT}`), /^BUNDLE_NOT_JSON: .*got "\/"/],
    ["zeros", Buffer.alloc(16), /^BUNDLE_NOT_JSON: .*at byte 0, got "\\u0000"/],
    ["a zero at the end", Buffer.concat([GOOD, Buffer.alloc(1)]), /^BUNDLE_NOT_JSON: .*the end at byte .*u0000/],
    ["JSON lines", Buffer.from(`${TEXT}\n${TEXT}\n`), /^BUNDLE_NOT_JSON: .*JSON lines\): store each by itself/],
    ["JSON lines with CR LF", Buffer.from(`${TEXT}\r\n${TEXT}`), /^BUNDLE_NOT_JSON: .*several JSON values/],
    ["values without a line end", Buffer.from(`${TEXT}${TEXT}`), /^BUNDLE_NOT_JSON: .*several JSON values/],
    ["JSON lines, the second broken", Buffer.from(`${TEXT}\n{`), /^BUNDLE_NOT_JSON: .*several JSON values/],
    ["text after", Buffer.from(`${TEXT} end`), /^BUNDLE_NOT_JSON: bundle: not JSON: expected the end .*got "e"/],
  ])("%s", (_, bytes, text) => {
    const error = refusalOf(() => parseBundle(bytes));
    expect(`${error.code}: ${error.message}`).toMatch(text);
    expect(error.message.length).toBeLessThan(250);
    expect(error.cause).toBeUndefined();
  });

  test("a refusal quotes one character of the text, no more", () => {
    expect(refusalText(() => parseBundle(Buffer.from('{"password":hunter2}')))).not.toMatch(/password|hunter/);
  });

  test.each<[string, Buffer]>([
    ["a varint and no more", Buffer.from([0xad, 0x0b])],
    ["a varint without end", Buffer.alloc(12, 0x80)],
    ["a copy first", Buffer.from([0xad, 0x0b, 0x01, 0x7b])],
    ["a literal longer than the text", Buffer.from([0x80, 0x01, 0xf0, 0xff, ...Buffer.alloc(300, "{")])],
    ["a literal that is cut", snappyBlock(GOOD).subarray(0, 50)],
    ["another start", snappyBlock(Buffer.alloc(300, "x"))],
    ["too much promised", Buffer.from([0x80, 0x80, 0x80, 0x40, 0x04, 0x7b, 0x7b])],
  ])("no Snappy block: %s", (_, bytes) => {
    expect(refusalOf(() => parseBundle(bytes)).code).toBe("BUNDLE_NOT_UTF8");
  });
});

test("cut anywhere, a bundle is refused with a code and nothing else", () => {
  for (const name of ["C04-git-commit.json", "C13-byte-order-mark.json", "C14-snappy.json.sn"]) {
    const bytes = fixture(name);
    for (let end = 0; end < bytes.length; end++) {
      expect(BUNDLE_ERROR_CODES).toContain(refusalOf(() => parseBundle(bytes.subarray(0, end))).code);
    }
  }
});

test("changed anywhere, a bundle is read or refused, and never in another way", () => {
  const bytes = Buffer.from(fixture("C04-git-commit.json"));
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0x00, 0x22, 0x2a, 0x5c, 0x7b, 0xff]) {
      const changed = Buffer.from(bytes);
      changed[at] = value;
      try {
        parseBundle(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(BundleError);
      }
    }
  }
});
