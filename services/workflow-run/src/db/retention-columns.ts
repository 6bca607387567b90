import type { Retentions } from "../organizations/retention.ts";

/** Bounds in seconds, as a table of organizations has them. */
export interface RetentionColumns<N> {
  attestationKeepMinSeconds: N;
  attestationKeepMaxSeconds: N;
  materialKeepMinSeconds: N;
  materialKeepMaxSeconds: N;
}

export function readRetentions(columns: RetentionColumns<bigint | string>): Retentions {
  return {
    attestations: {
      atLeastSeconds: Number(columns.attestationKeepMinSeconds),
      atMostSeconds: Number(columns.attestationKeepMaxSeconds),
    },
    materials: {
      atLeastSeconds: Number(columns.materialKeepMinSeconds),
      atMostSeconds: Number(columns.materialKeepMaxSeconds),
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
