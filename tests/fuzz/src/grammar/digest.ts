import fc from "fast-check";
import { anyText } from "./text.ts";

export const hex: fc.Arbitrary<string> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));

/** Digests as Attestry writes them, and what is close to one. */
export const digests: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: hex.map((digits) => `sha256:${digits}`) },
  { weight: 1, arbitrary: hex.map((digits) => `sha256:${digits.toUpperCase()}`) },
  { weight: 1, arbitrary: hex.map((digits) => `SHA256:${digits}`) },
  { weight: 1, arbitrary: hex },
  { weight: 1, arbitrary: hex.map((digits) => `sha512:${digits}${digits}`) },
  { weight: 1, arbitrary: fc.tuple(hex, fc.nat(70)).map(([digits, length]) => `sha256:${digits.slice(0, length)}`) },
  { weight: 1, arbitrary: hex.map((digits) => `sha256:${digits}\n`) },
  { weight: 1, arbitrary: hex.map((digits) => `sha256:${digits.slice(1)}é`) },
  { weight: 1, arbitrary: anyText },
);
