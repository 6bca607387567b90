import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { isJsonObject } from "../describe.ts";
import { BundleError } from "../error.ts";
import type { LogEntry } from "./log-entries.ts";

/**
 * Checks that log entries speak of the key that the bundle is verified by: the same signature can be good for another
 * key as well. @sigstore/verify compares signature and payload, and not this. For entries that it found good.
 *
 * @throws BundleError TRANSPARENCY_LOG_THRESHOLD
 */
export function checkLoggedKeys(entries: readonly LogEntry[], key: KeyObject): void {
  for (const { canonicalizedBody } of entries) {
    const logged = VERIFIERS.map((path) => valueAt(JSON.parse(canonicalizedBody.toString("utf8")), path))
      .filter((verifier) => verifier !== undefined)
      .map(readLoggedKey);
    if (logged.some((other) => other === undefined || !other.equals(key))) {
      throw new BundleError("TRANSPARENCY_LOG_THRESHOLD", "log entry: expected one by the signer's key, got another's");
    }
  }
}

// Where each kind of entry has it (sigstore/rekor, pkg/types: dsse 0.0.1, intoto 0.0.2, hashedrekord 0.0.1;
// sigstore/rekor-tiles: dsse and hashedrekord 0.0.2).
const VERIFIERS: readonly (readonly (string | number)[])[] = [
  ["spec", "signatures", 0, "verifier"],
  ["spec", "content", "envelope", "signatures", 0, "publicKey"],
  ["spec", "signature", "publicKey", "content"],
  ["spec", "dsseV002", "signatures", 0, "verifier"],
  ["spec", "hashedRekordV002", "signature", "verifier"],
];

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((at, step) => {
    return isJsonObject(at) || Array.isArray(at) ? (at as Record<string | number, unknown>)[step] : undefined;
  }, value);
}

// A certificate or key: PEM in base64, or in a message with the DER of either.
function readLoggedKey(verifier: unknown): KeyObject | undefined {
  try {
    if (typeof verifier === "string") {
      return createPublicKey(Buffer.from(verifier, "base64"));
    }
    const certificate = valueAt(verifier, ["x509Certificate", "rawBytes"]);
    if (typeof certificate === "string") {
      return new X509Certificate(Buffer.from(certificate, "base64")).publicKey;
    }
    const key = Buffer.from(String(valueAt(verifier, ["publicKey", "rawBytes"])), "base64");
    return createPublicKey({ key, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}
