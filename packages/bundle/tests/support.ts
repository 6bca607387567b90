import { readFileSync } from "node:fs";
import { BundleError, type BundleErrorCode } from "../src/index.ts";

/** The bytes of a file in tests/fixtures. */
export function fixture(name: string): Buffer {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url));
}

/** Runs what must be refused and returns the refusal; anything but a BundleError fails the test. */
export function refusalOf(run: () => unknown): BundleError {
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    if (error instanceof BundleError) {
      return error;
    }
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(result)?.slice(0, 200)}`);
}

/** A refusal as `CODE: message`, so that one pattern can ask for both. */
export function refusalText(run: () => unknown): string {
  const { code, message } = refusalOf(run);
  return `${code}: ${message}`;
}

export const V03 = "application/vnd.dev.sigstore.bundle.v0.3+json";
export const STATEMENT = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "widget.tar.gz", digest: { sha256: "ab".repeat(32) } }],
  predicateType: "https://slsa.dev/provenance/v1",
  predicate: { buildDefinition: {} },
};

export function bytesOf(value: unknown): Buffer {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

/** A DSSE envelope around a statement, as an object to change; the signature is made up. */
export function envelopeOf(statement: unknown = STATEMENT, changes: Record<string, unknown> = {}) {
  const payload = bytesOf(statement).toString("base64");
  return { payload, payloadType: "application/vnd.in-toto+json", signatures: [{ sig: "c2lnbmF0dXJl" }], ...changes };
}

export function bundleOf(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { mediaType: V03, verificationMaterial: { certificate: {} }, dsseEnvelope: envelopeOf(), ...changes };
}

export type Refusal = [what: string, input: unknown, code: BundleErrorCode, message: RegExp];
