import { type Digest, parseBundle, parseDigest } from "@attestry/bundle";

/** A blob in chainloop's storage that an attestation names. */
export interface Material {
  digest: Digest;
  /** What the attestation calls its file; undefined: nothing. */
  fileName: string | undefined;
}

/**
 * What an attestation says is in chainloop's storage beside it: the materials that its predicate marks so, and the evaluations of
 * policies. Sources: chainloop.dev/attestation/v0.2. Throws BundleError for what no Attestry takes.
 */
export function materialsOf(bundle: Uint8Array): Material[] {
  const statement = JSON.parse(parseBundle(bundle).envelope.payload.toString()) as { predicate?: unknown };
  const { materials, policyEvaluationsRef } = fields(statement.predicate);
  const found = [
    ...(Array.isArray(materials) ? materials.filter(isStored) : []),
    ...(policyEvaluationsRef === undefined ? [] : [policyEvaluationsRef]),
  ].flatMap(materialOf);
  return [...new Map(found.map((material) => [material.digest, material])).values()];
}

function isStored(descriptor: unknown): boolean {
  const { "chainloop.material.cas": stored } = fields(fields(descriptor).annotations);
  return stored === true || stored === "true";
}

function materialOf(descriptor: unknown): Material[] {
  const { digest, name } = fields(descriptor);
  const { sha256 } = fields(digest);
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return [];
  return [{ digest: parseDigest(`sha256:${sha256}`), fileName: typeof name === "string" ? name : undefined }];
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
