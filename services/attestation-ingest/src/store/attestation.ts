import type { Digest, PolicySummary, Subject } from "@attestry/bundle";
import type { KeptVerification, Verification } from "../verification/verification.ts";

/** Where the bytes were put when the attestation was stored. */
export type Mode = "database" | "cas" | "spool";

export type UploadState = "pending" | "failing" | "given_up" | "confirmed";

/** What Complete and the visible mark need to know of a row. */
export interface KeptAttestation {
  id: string;
  organizationId: string;
  runId: string;
  digest: Digest;
  planGivenAt: Date;
  /** What the predicate says of policies; null: nothing, or a build wrote the row that did not look. */
  policySummary: PolicySummary | null;
}

/** An attestation as it is written; its bundle goes beside it. */
export interface NewAttestation extends KeptAttestation, Verification {
  workflowId: string;
  project: string;
  workflow: string;
  backendId: string;
  sizeBytes: number;
  mediaType: string;
  predicateType: string;
  /** The first 100. */
  subjects: Subject[];
  /** Of all subjects, each once, as a JSON array. */
  subjectKeysJson: string;
  /** The same of the materials that the predicate names. */
  materialKeysJson: string;
  mode: Mode;
  receivedAt: Date;
  /** Of the API token that stores it. */
  tokenId: string;
  /** For so many seconds from its insert on retention does not delete it; 0: no promise. */
  keepAtLeastSeconds: number;
}

/** The row of a run as Store meets it again. */
export interface StoredAttestation extends KeptAttestation {
  mode: Mode;
  visible: boolean;
  /** Hidden by retention since; null: it is not. */
  expiredAt: Date | null;
  /** Of the upload to the run's backend; null when that is inline. */
  upload: UploadState | null;
}

/** An attestation as it is read, without its bundle. */
export interface Attestation extends KeptAttestation, KeptVerification {
  workflowId: string;
  project: string;
  workflow: string;
  sizeBytes: number;
  mediaType: string;
  predicateType: string;
  subjects: Subject[];
  mode: Mode;
  receivedAt: Date;
  visible: boolean;
  /** Of the API token that stored it; null: a build wrote the row that did not keep that. */
  tokenId: string | null;
  uploads: { backendId: string; state: UploadState }[];
}
