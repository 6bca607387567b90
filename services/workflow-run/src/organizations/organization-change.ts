import { type AuditEntry, changedValues } from "@attestry/service-kit/audit";
import { trustNotSet } from "../trust/trust-policy.ts";
import type { Organization, StorageMode, VerificationMode } from "./organization.ts";
import { changedRetention, type RetentionChange } from "./retention.ts";

/** What Update sets; undefined: stays. */
export interface OrganizationChange {
  storageMode?: StorageMode | null | undefined;
  attestations?: RetentionChange | undefined;
  materials?: RetentionChange | undefined;
  verificationMode?: VerificationMode | undefined;
  blockOnPolicyViolation?: boolean | undefined;
}

/** The organization with the change made. Throws RETENTION_INVALID, TRUST_NOT_SET. */
export function changed(present: Organization, change: OrganizationChange): Organization {
  const { storageMode = present.storageMode, attestations = {}, materials = {} } = change;
  const { verificationMode = present.verificationMode } = change;
  const { blockOnPolicyViolation = present.blockOnPolicyViolation } = change;
  if (verificationMode === "trusted" && present.trustRevision === 0) throw trustNotSet(present.name);
  const retention = {
    attestations: changedRetention(present.retention.attestations, attestations, "attestation_retention"),
    materials: changedRetention(present.retention.materials, materials, "material_retention"),
  };
  return { ...present, storageMode, retention, verificationMode, blockOnPolicyViolation };
}

/** What the audit log is told of a change: each setting that has another value now, old and new; undefined: none has. */
export function changeEntry(before: Organization, after: Organization, actor: string): AuditEntry | undefined {
  const detail = changedValues(settingsOf(before), settingsOf(after));
  if (Object.keys(detail).length === 0) return undefined;
  return {
    actor,
    action: "organization.update",
    resource: `organization ${before.id}`,
    detail: { name: before.name, ...detail },
  };
}

function settingsOf(organization: Organization): Record<string, string> {
  const { storageMode, retention, verificationMode, blockOnPolicyViolation } = organization;
  const { attestations, materials } = retention;
  return {
    storage_mode: storageMode ?? "default",
    verification_mode: verificationMode,
    block_on_policy_violation: String(blockOnPolicyViolation),
    "attestation_retention.at_least": boundText(attestations.atLeastSeconds),
    "attestation_retention.at_most": boundText(attestations.atMostSeconds),
    "material_retention.at_least": boundText(materials.atLeastSeconds),
    "material_retention.at_most": boundText(materials.atMostSeconds),
  };
}

/** 0 is no bound. */
function boundText(seconds: number): string {
  return seconds === 0 ? "none" : `${seconds}s`;
}
