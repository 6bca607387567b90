import { readFileSync } from "node:fs";
import path from "node:path";

const fixture = readFileSync(path.join(import.meta.dirname, "../fixtures/bundle-63k.json"));
const bits = 32;
const begin = Date.now() % 2 ** 20;
let made = 0;

/** The 63,552-byte bundle, made unique by white space at its end: its number in binary, as blanks and tabs. */
export function uniqueBundle(): Buffer {
  const number = (begin * 2 ** 12 + made++).toString(2).padStart(bits, "0").slice(-bits);
  const tail = number.replaceAll("0", " ").replaceAll("1", "\t");
  return Buffer.concat([fixture, Buffer.from(tail)]);
}
