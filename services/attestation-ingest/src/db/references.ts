import { type Digest, digestBytes, digestFromBytes } from "@attestry/bundle";
import type { Pool } from "pg";

export interface BundleReference {
  digest: Digest;
  sizeBytes: number;
}

export interface ReferencePage {
  organizationId: string;
  backendId: string;
  /** Undefined: from the first. */
  after: Digest | undefined;
  limit: number;
}

/**
 * The digests of bundles that a backend must have, each once and in ascending order. Those of mode cas count whether
 * they are visible or not: their row exists only after the backend had the bytes. What retention hides counts until it is
 * deleted.
 */
export async function listReferences(
  pool: Pool,
  { organizationId, backendId, after, limit }: ReferencePage,
): Promise<BundleReference[]> {
  const { rows } = await pool.query<{ digest: Buffer; sizeBytes: number }>({
    name: "list-references",
    // State and mode stand in the text, so that the partial indexes fit; each part reads no further than it must.
    text: `select digest, size_bytes as "sizeBytes" from (
             (select distinct digest, size_bytes from upload
              where organization_id = $1 and backend_id = $2 and digest > $3 and state = 'confirmed'
              order by digest, size_bytes limit $4)
             union
             (select distinct digest, size_bytes from attestation
              where organization_id = $1 and backend_id = $2 and digest > $3 and mode = 'cas'
              order by digest, size_bytes limit $4)
           ) as referred order by digest limit $4`,
    values: [organizationId, backendId, after === undefined ? Buffer.alloc(0) : digestBytes(after), limit],
  });
  return rows.map((row) => ({ ...row, digest: digestFromBytes(row.digest) }));
}
