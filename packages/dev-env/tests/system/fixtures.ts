import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

const folder = path.resolve(import.meta.dirname, "../../../bundle/tests/fixtures");

/** Real signed bundles of several makers, whose signatures are good. */
export const acceptedBundles = [
  "chainloop-cli-63k.json",
  "chainloop-v0.3.json",
  "happy-path-intoto-in-dsse-v3.json",
  "intoto-expired-certificate_fail.json",
  "intoto-with-custom-trust-root.json",
  "C02-string-predicate.json",
  "C04-git-commit.json",
  "C05-same-subject-twice.json",
  "C11-newline-at-end.json",
  "C13-byte-order-mark.json",
  "C16-v01-no-checkpoint.json",
  "C19-two-spellings.json",
] as const;

export function fixture(name: string): Buffer {
  return readFileSync(path.join(folder, name));
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

let made = 0;

/** A copy of the 63 KB bundle that nobody stored yet: white space at its end makes it another. */
export function uniqueBundle(): Buffer {
  const tail = (made++).toString(2).padStart(24, "0").replaceAll("0", " ").replaceAll("1", "\t");
  return Buffer.concat([fixture("chainloop-cli-63k.json"), Buffer.from(tail)]);
}

/** A bare envelope of about this many bytes, by a long predicate. It carries no key, since no signature of it is good. */
export function bundleOfSize(bytes: number): Buffer {
  const bundle = JSON.parse(fixture("C16-v01-no-checkpoint.json").toString());
  const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString());
  statement.predicate = { padding: "x".repeat(Math.ceil((bytes * 3) / 4)) };
  bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  return Buffer.from(JSON.stringify(bundle.dsseEnvelope));
}
