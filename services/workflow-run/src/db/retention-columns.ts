import type { Retentions } from "../organizations/retention.ts";

/** Bounds in seconds, as a table of organizations has them. */
export interface RetentionColumns<N> {
  attestationKeepMinSeconds: N;
  attestationKeepMaxSeconds: N;
  materialKeepMinSeconds: N;
  materialKeepMaxSeconds: N;
}

/** With when the bounds of materials became what they are; null: they always were. */
export interface RetentionRow extends RetentionColumns<bigint | string> {
  materialKeepChangedAt: Date | null;
}

export function readRetentions(columns: RetentionRow): Retentions {
  return {
    attestations: {
      atLeastSeconds: Number(columns.attestationKeepMinSeconds),
      atMostSeconds: Number(columns.attestationKeepMaxSeconds),
    },
    materials: {
      atLeastSeconds: Number(columns.materialKeepMinSeconds),
      atMostSeconds: Number(columns.materialKeepMaxSeconds),
      ...(columns.materialKeepChangedAt && { since: Math.ceil(columns.materialKeepChangedAt.getTime() / 1_000) }),
    },
  };
}

export function retentionColumns({ attestations, materials }: Retentions): RetentionColumns<number> {
  return {
    attestationKeepMinSeconds: attestations.atLeastSeconds,
    attestationKeepMaxSeconds: attestations.atMostSeconds,
    materialKeepMinSeconds: materials.atLeastSeconds,
    materialKeepMaxSeconds: materials.atMostSeconds,
  };
}
