import fc from "fast-check";

/** Texts that have broken readers before, and what they are good for at most is a name. */
const odd = [
  "",
  " ",
  "\0",
  "a\0b",
  "\ufeff",
  "\ud800",
  "\udfff",
  "a\udc00\ud800",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "\u202e",
  "\u2028\u2029",
  "\r\nx-injected: 1",
  "../../etc/passwd",
  "..%2f..",
  "%00",
  "%",
  "*",
  "' or 1=1 --",
  "-0",
  "1e999",
  "9007199254740993",
  "e\u0301",
  "\u{10ffff}",
  "x".repeat(513),
  "x".repeat(70_000),
  "é".repeat(300),
];

/** A character of two UTF-16 units on the place where a message may cut a text that it quotes. */
const cutInHalf = fc.integer({ min: 30, max: 310 }).map((length) => `${"a".repeat(length)}\u{1f600}${"b".repeat(20)}`);

/** Any text: odd ones, any code points, also halves of them. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...odd) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(0xffff), { maxLength: 6 }).map((units) => String.fromCharCode(...units)) },
  { weight: 1, arbitrary: cutInHalf },
);

export const uuids: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.uuid() },
  { weight: 1, arbitrary: fc.uuid().map((id) => id.toUpperCase()) },
  { weight: 1, arbitrary: fc.uuid().map((id) => id.replaceAll("-", "")) },
  { weight: 1, arbitrary: fc.uuid().map((id) => `{${id}}`) },
  { weight: 1, arbitrary: fc.constant("00000000-0000-0000-0000-000000000000") },
);

/** Names as organizations, backends and tokens have them. */
export const names: fc.Arbitrary<string> = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,12}$/);
