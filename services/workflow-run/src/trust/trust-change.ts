import type { TrustPolicy } from "@attestry/bundle";
import type { AuditEntry } from "@attestry/service-kit/audit";
import type { Organization } from "../organizations/organization.ts";

/** What the audit log is told of a new revision. The policies themselves are kept by revision. */
export function trustEntry(before: Organization, policy: TrustPolicy, actor: string): AuditEntry {
  const { material, transparencyLogThreshold, timestampThreshold, signers } = policy;
  return {
    actor,
    action: "trust.set",
    resource: `organization ${before.id}`,
    detail: {
      name: before.name,
      "revision.old": before.trustRevision === 0 ? "none" : String(before.trustRevision),
      "revision.new": String(before.trustRevision + 1),
      trusted_roots: String(material.trustedRoots.length),
      certificate_authorities: String(material.certificateAuthorities.length),
      public_keys: String(material.publicKeys.length),
      transparency_log_threshold: String(transparencyLogThreshold),
      timestamp_threshold: String(timestampThreshold),
      signers: String(signers.length),
    },
  };
}
