import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { digestBytes, digestFromBytes, digestHex, digestOf, parseDigest } from "../src/index.ts";
import { fixture, refusalOf } from "./support.ts";

const HEX = "0123456789abcdef".repeat(4);

describe("digest", () => {
  test("is that of the bytes as they are, byte order mark and line end included", () => {
    for (const name of ["C11-newline-at-end.json", "C13-byte-order-mark.json", "chainloop-cli-63k.json"]) {
      const bytes = fixture(name);
      expect(digestOf(bytes)).toBe(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
    }
    const marked = fixture("C13-byte-order-mark.json");
    expect(digestOf(marked)).not.toBe(digestOf(marked.subarray(3)));
  });

  test("takes a view of a part of a buffer", () => {
    const whole = new Uint8Array([9, 1, 2, 3, 9]);
    expect(digestOf(whole.subarray(1, 4))).toBe(digestOf(new Uint8Array([1, 2, 3])));
    const padded = new Uint8Array(40).fill(7, 4, 36);
    expect(digestFromBytes(padded.subarray(4, 36))).toBe(`sha256:${"07".repeat(32)}`);
  });

  test("goes to bytes and back", () => {
    const digest = parseDigest(`sha256:${HEX}`);
    expect(digestHex(digest)).toBe(HEX);
    expect(digestBytes(digest)).toHaveLength(32);
    expect(digestFromBytes(digestBytes(digest))).toBe(digest);
    expect(digestOf(new Uint8Array())).toBe("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test.each<[string, string, RegExp]>([
    ["empty", "", /no sha256: before it/],
    ["no prefix", HEX, /no sha256: before it/],
    ["another algorithm", `sha512:${HEX}`, /no sha256: before it/],
    ["upper-case digits", `sha256:${HEX.toUpperCase()}`, /upper case/],
    ["upper-case prefix", `SHA256:${HEX}`, /upper case/],
    ["a digit short", `sha256:${HEX.slice(1)}`, /63 characters after sha256:/],
    ["a digit long", `sha256:${HEX}0`, /65 characters after sha256:/],
    ["not hexadecimal", `sha256:${HEX.slice(1)}g`, /got "sha256:/],
    ["a line end", `sha256:${HEX}\n`, /65 characters/],
    ["a space before", ` sha256:${HEX}`, /no sha256/],
    ["prefix alone", "sha256:", /0 characters/],
    ["very long", `sha256:${"a".repeat(1e6)}`, /1000000 characters/],
  ])("refuses: %s", (_, text, message) => {
    const error = refusalOf(() => parseDigest(text));
    expect(error.code).toBe("DIGEST_INVALID");
    expect(error.message).toMatch(/expected sha256: and 64 lower-case hexadecimal digits, got "/);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(300);
    expect(Object.keys(error.metadata)).toEqual(["expected", "actual"]);
  });

  test.each([0, 31, 33])("refuses %d bytes", (length) => {
    const error = refusalOf(() => digestFromBytes(new Uint8Array(length)));
    expect(error.code).toBe("DIGEST_INVALID");
    expect(error.metadata).toEqual({ expected: "32 bytes", actual: `${length} bytes` });
  });
});
