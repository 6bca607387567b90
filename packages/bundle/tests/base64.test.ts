import { randomBytes } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { decodeBase64 } from "../src/base64.ts";

describe("base64", () => {
  test("takes either alphabet, with and without padding, at each length", () => {
    for (let length = 0; length < 200; length++) {
      const bytes = randomBytes(length);
      const standard = bytes.toString("base64");
      const url = bytes.toString("base64url");
      for (const text of [standard, standard.replaceAll("=", ""), url, url.padEnd(standard.length, "=")]) {
        expect(decodeBase64(text)).toEqual(bytes);
      }
    }
  });

  test.each<[string, string, number, RegExp]>([
    ["junk inside", "QUJD*!QUJD", 4, /"\*" is not in its alphabet/],
    ["a space", "QUJD QUJD", 4, /" " is not/],
    ["a line end at the end", "QUJD\n", 4, /"\\n" is not/],
    ["a line end after padding", "QUI=\n", 4, /"\\n" is not in its alphabet/],
    ["a line end in the middle", "QUJD\r\nQUJD", 4, /"\\r" is not/],
    ["U+0000", "QU\0D", 2, /is not/],
    ["a letter of another script", "QUJД", 3, /"Д" is not/],
    ["a character that Node folds into the alphabet", "QUJD\u0141UJD", 4, /is not/],
    ["beyond the basic plane", "QUJD\u{1f600}", 4, /"😀" is not/],
    ["alphabets mixed, standard first", "+AA-", 3, /"-" is URL-safe after characters that are standard/],
    ["alphabets mixed, URL-safe first", "_AA/", 3, /"\/" is standard after characters that are URL-safe/],
    ["length 4n + 1", "QUJDR", 4, /5 characters without padding: 4n \+ 1/],
    ["one character", "Q", 0, /4n \+ 1/],
    ["length 4n + 1, padded", "QUJDR===", 5, /"=" is not at its place/],
    ["too little padding", "QQ=", 2, /padding of 1 after 2/],
    ["too much padding", "QUI==", 3, /padding of 2 after 3/],
    ["padding that is not needed", "QUJD=", 4, /padding of 1 after 4/],
    ["padding that is not needed, twice", "QUJD==", 4, /padding of 2 after 4/],
    ["a group of padding", "QUJD====", 4, /"=" is not at its place/],
    ["padding alone", "====", 0, /"=" is not at its place/],
    ["padding in the middle", "QQ==QUJD", 2, /"=" is not at its place/],
    ["bits left over, one byte", "QR==", 1, /bits that belong to no byte/],
    ["bits left over, two bytes", "QUJ=", 2, /bits that belong to no byte/],
    ["bits left over, bare", "QR", 1, /bits that belong to no byte/],
  ])("refuses: %s", (_, text, offset, reason) => {
    const fault = decodeBase64(text);
    expect(fault).toEqual({ offset, reason: expect.stringMatching(reason) });
  });

  test("agrees with a check character by character", () => {
    const characters = "AQgw+/-_=* ";
    const strict = /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)(={0,2})$/;
    for (let i = 0; i < 20_000; i++) {
      const text = Array.from(randomBytes(i % 9), (byte) => characters[byte % characters.length]).join("");
      const digits = text.replace(/=*$/, "");
      const good =
        strict.test(text) &&
        digits.length % 4 !== 1 &&
        (digits === text || text.length % 4 === 0) &&
        (digits === text || digits.length % 4 !== 0) &&
        Buffer.from(digits, "base64").toString("base64url") === digits.replaceAll("+", "-").replaceAll("/", "_");
      expect([text, Buffer.isBuffer(decodeBase64(text))]).toEqual([text, good]);
    }
  });
});
