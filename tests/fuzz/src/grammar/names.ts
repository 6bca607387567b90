import fc from "fast-check";
import { anyBytes } from "./bytes.ts";
import { digests, hex } from "./digest.ts";
import { anyText, names, uuids } from "./text.ts";

/** Sizes as resource names write them, and what is close to one. */
const sizes = fc.oneof(
  { weight: 4, arbitrary: fc.nat(100_000).map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "-1",
      "+1",
      "01",
      "1e3",
      "0x10",
      "9007199254740991",
      "9007199254740993",
      "1.5",
      " 1",
      "١",
      "",
    ),
  },
);

const segments = fc.oneof(
  fc.constantFrom(
    "blobs",
    "uploads",
    "compressed-blobs",
    "zstd",
    "deflate",
    "identity",
    "sha256",
    "blake3",
    "..",
    ".",
    "",
  ),
  hex,
  sizes,
  uuids,
  names,
  anyText,
);

function joined(...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> {
  return fc.tuple(...parts).map((texts) => texts.join(""));
}

const instances = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: names.map((name) => `${name}/`) },
  { weight: 1, arbitrary: fc.oneof(anyText, fc.constantFrom("a/b/c", "blobs", "A", "-a")).map((name) => `${name}/`) },
);
const compressors = fc.oneof(
  { weight: 2, arbitrary: fc.constant("blobs/") },
  { weight: 2, arbitrary: fc.constant("compressed-blobs/zstd/") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("compressed-blobs/deflate/", "compressed-blobs/", "BLOBS/", "blobs/sha256/"),
  },
);
const slash = fc.constant("/");
/** What may follow the size of an upload. */
const metadata = fc.oneof(
  anyText,
  anyText.map((text) => `attestry-name/${text}`),
  anyBytes.map((bytes) => `attestry-name/${Buffer.from(bytes).toString("base64url")}`),
);

/** Resource names of the Remote Execution API, to read and to write, and what is close to one. */
export const resourceNames: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: joined(instances, compressors, hex, slash, sizes) },
  { weight: 3, arbitrary: joined(instances, fc.constant("uploads/"), uuids, slash, compressors, hex, slash, sizes) },
  {
    weight: 1,
    arbitrary: joined(
      instances,
      fc.constant("uploads/"),
      uuids,
      slash,
      compressors,
      hex,
      slash,
      sizes,
      slash,
      metadata,
    ),
  },
  { weight: 3, arbitrary: fc.array(segments, { maxLength: 9 }).map((parts) => parts.join("/")) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("/".repeat(10_000), `blobs/${"a/".repeat(5_000)}`, "uploads/".repeat(2_000)),
  },
);

const spellings = fc.oneof(
  { weight: 4, arbitrary: fc.constant((text: string) => text) },
  { weight: 1, arbitrary: fc.constant((text: string) => encodeURIComponent(text.toWellFormed())) },
  { weight: 1, arbitrary: fc.constant((text: string) => text.replace(":", "%3a")) },
  { weight: 1, arbitrary: fc.constant((text: string) => `${text}%`) },
);

/** Parts of a query, with the names that mean something and others. */
const parameters = fc
  .tuple(fc.oneof(fc.constantFrom("instance", "token", "Instance", "__proto__"), anyText), fc.oneof(names, anyText))
  .map(([name, value]) => `${name}=${value}`);

/** The URLs of blobs. */
export const blobUrls: fc.Arbitrary<string> = fc
  .tuple(fc.oneof(digests, segments), spellings, fc.array(parameters, { maxLength: 3 }))
  .map(([name, written, query]) => `/v1/blobs/${written(name)}${query.length > 0 ? `?${query.join("&")}` : ""}`);
