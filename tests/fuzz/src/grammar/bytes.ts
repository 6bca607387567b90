import fc from "fast-check";

/** Something small that is done to bytes; places are shares of their length, so that they stay right when it shrinks. */
type Edit =
  | { kind: "flip"; at: number; bit: number }
  | { kind: "cut"; at: number }
  | { kind: "drop"; at: number; count: number }
  | { kind: "insert"; at: number; bytes: Uint8Array }
  | { kind: "repeat"; at: number; count: number; times: number }
  | { kind: "splice"; at: number; from: number; count: number };

const share = fc.integer({ min: 0, max: 999_999 }).map((part) => part / 1_000_000);
const some = fc.uint8Array({ minLength: 1, maxLength: 8 });
/** What means something to a reader of JSON, base64, protobuf, or of text. */
const telling = fc
  .constantFrom(...'{ } [ ] " : , \\ \\u \\ud800 - = \0 \ufeff e999 null'.split(" "))
  .map((text) => Uint8Array.from(Buffer.from(text)));
const brokenUtf8 = fc
  .constantFrom("80", "c0af", "eda080", "f4908080", "ff", "e28280e2", "f09f98")
  .map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));

const edits: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("flip" as const), at: share, bit: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), at: share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), at: share, count: fc.nat(64) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      at: share,
      bytes: fc.oneof(some, telling, brokenUtf8),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("repeat" as const),
      at: share,
      count: fc.integer({ min: 1, max: 64 }),
      times: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("splice" as const), at: share, from: share, count: fc.nat(200) }),
  },
);

/** Up to four small faults, for any bytes. */
export const faults: fc.Arbitrary<(bytes: Uint8Array) => Buffer> = fc
  .array(edits, { minLength: 1, maxLength: 4 })
  .map((changes) => (bytes) => changes.reduce(edited, Buffer.from(bytes)));

/** These bytes with up to four small faults. */
export function mutated(originals: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  return fc.tuple(originals, faults).map(([original, fault]) => fault(original));
}

function edited(bytes: Buffer, edit: Edit): Buffer {
  const at = Math.floor(edit.at * (bytes.length + 1));
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (edit.kind) {
    case "flip": {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy.writeUInt8(copy.readUInt8(at) ^ (1 << edit.bit), at);
      return copy;
    }
    case "cut":
      return before;
    case "drop":
      return Buffer.concat([before, after.subarray(edit.count)]);
    case "insert":
      return Buffer.concat([before, edit.bytes, after]);
    case "repeat":
      return Buffer.concat([before, ...Array<Buffer>(edit.times).fill(after.subarray(0, edit.count)), after]);
    case "splice": {
      const from = Math.floor(edit.from * bytes.length);
      return Buffer.concat([before, bytes.subarray(from, from + edit.count), after.subarray(edit.count)]);
    }
  }
}

export const anyBytes: fc.Arbitrary<Buffer> = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

const utf8: (text: string) => Buffer = (text) => Buffer.from(text);
const encodings: ((text: string) => Buffer)[] = [
  (text) => Buffer.from(`\ufeff${text}`),
  (text) => Buffer.from(`${text}\r\n`),
  (text) => Buffer.from(`${text}\0`),
  (text) => Buffer.from(`\0${text}`),
  (text) => Buffer.from(text, "utf16le"),
  (text) => Buffer.from(`\ufeff${text}`, "utf16le"),
  (text) => Buffer.from(text, "utf16le").swap16(),
  (text) => Buffer.from(text, "latin1"),
  (text) => Buffer.from(`${text}${text}`),
  (text) => Buffer.concat([Buffer.from(text), Buffer.from([0xff])]),
];

/** The text as bytes: in UTF-8 most of the time. */
export function encoded(texts: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const ways = fc.oneof(
    { weight: 9, arbitrary: fc.constant(utf8) },
    { weight: 1, arbitrary: fc.constantFrom(...encodings) },
  );
  return fc.tuple(texts, ways).map(([text, encode]) => encode(text));
}

const base64Ways: ((bytes: Buffer) => string)[] = [
  (bytes) => bytes.toString("base64url"),
  (bytes) => bytes.toString("base64").replaceAll("=", ""),
  (bytes) => `${bytes.toString("base64")}=`,
  (bytes) => `${bytes.toString("base64")}\n`,
  (bytes) => bytes.toString("base64").replace(/^.{4}/, "$&\r\n"),
  (bytes) => bytes.toString("base64").replace(/^.{5}/, "$&*!"),
  (bytes) => `${bytes.toString("base64").replaceAll("=", "")}A`,
  (bytes) => `+-${bytes.toString("base64")}`,
  (bytes) => bytes.toString("base64").replace(/[A-Za-z](?==*$)/, "B"),
  (bytes) => Buffer.from(bytes.toString("base64")).toString("base64"),
  (bytes) => bytes.toString("hex"),
  (bytes) => `\ufeff${bytes.toString("base64")}`,
];

/** Base64 of the bytes, in the standard's way most of the time. */
export function base64Of(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<string> {
  const ways = fc.oneof(
    { weight: 12, arbitrary: fc.constant((plain: Buffer) => plain.toString("base64")) },
    { weight: 1, arbitrary: fc.constantFrom(...base64Ways) },
  );
  return fc.tuple(bytes, ways).map(([plain, encode]) => encode(plain));
}
