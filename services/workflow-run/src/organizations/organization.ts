import { DomainError } from "@attestry/service-kit";
import type { Retentions } from "./retention.ts";

export type StorageMode = "database" | "cas" | "spool";

/** What Store asks of signatures. */
export type VerificationMode = "off" | "signature" | "trusted";

export interface Organization {
  id: string;
  /** Never changes. */
  name: string;
  createdAt: Date;
  /** Null: what attestation-ingest is set to. */
  storageMode: StorageMode | null;
  retention: Retentions;
  verificationMode: VerificationMode;
  /** Of the trust policy in force; 0: none was set. */
  trustRevision: number;
  /** Clients that evaluate policies are to end a run that violates one; of runs that begin from now on. */
  blockOnPolicyViolation: boolean;
}

/** The error for an organization that is not there, or that the caller may not know of: the two look the same. */
export function organizationNotFound(name: string): DomainError {
  return new DomainError("ORGANIZATION_NOT_FOUND", `there is no organization ${name}`, {
    metadata: { organization: name },
  });
}
