import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { trustedRootKey } from "../src/control-plane/trusted-root-key.ts";

const der = (name: string) =>
  new X509Certificate(readFileSync(path.join(import.meta.dirname, "fixtures", name))).raw.toString("hex");

/** As openssl shows it; by its place in the DER: OID 2.5.29.14, then 20 bytes in two octet strings. */
function subjectKeyId(certificate: string): Buffer {
  return Buffer.from(/0603551d0e0416(?:0414)([0-9a-f]{40})/.exec(certificate)?.[1] ?? "", "hex");
}

/** OID 2.5.29.35, then 20 bytes in context tag 0. */
function authorityKeyId(certificate: string): Buffer {
  return Buffer.from(/0603551d2304183016(?:8014)([0-9a-f]{40})/.exec(certificate)?.[1] ?? "", "hex");
}

test("is what chainloop's own server answered for its authority", () => {
  // GetTrustedRoot as recorded with the command line of 2026-08-21.
  const recorded = "86ecfafbc257bfdfaa99aebb46286fa68f97a3b7bb2c5b97b06cbec998262cb8";
  const own = subjectKeyId(der("recorded-root.pem"));
  expect(own).toHaveLength(20);
  expect(trustedRootKey(own)).toBe(recorded);
  expect(trustedRootKey(authorityKeyId(der("recorded-leaf.pem")))).toBe(recorded);
});
