import type { AuditEntry } from "@attestry/service-kit/audit";
import type { Organization, StorageMode } from "./organization.ts";
import type { Retentions } from "./retention.ts";

/** What Update sets; undefined: stays. */
export interface OrganizationChange {
  storageMode?: StorageMode | null | undefined;
  attestations?: Retentions["attestations"] | undefined;
  materials?: Retentions["materials"] | undefined;
}

/** The organization with the change made. */
export function changed(present: Organization, change: OrganizationChange): Organization {
  const { storageMode = present.storageMode, attestations, materials } = change;
  const retention = {
    attestations: attestations ?? present.retention.attestations,
    materials: materials ?? present.retention.materials,
  };
  return { ...present, storageMode, retention };
}

/** What the audit log is told of a change: each setting that has another value now, old and new; undefined: none has. */
export function changeEntry(before: Organization, after: Organization, actor: string): AuditEntry | undefined {
  const old = settingsOf(before);
  const different = Object.entries(settingsOf(after)).filter(([name, value]) => old[name] !== value);
  if (different.length === 0) return undefined;
  const detail = different.flatMap(([name, value]) => [
    [`${name}.old`, old[name]],
    [`${name}.new`, value],
  ]);
  return {
    actor,
    action: "organization.update",
    resource: `organization ${before.id}`,
    detail: { name: before.name, ...Object.fromEntries(detail) },
  };
}

function settingsOf({ storageMode, retention }: Organization): Record<string, string> {
  const { attestations, materials } = retention;
  return {
    storage_mode: storageMode ?? "default",
    "attestation_retention.at_least": `${attestations.atLeastSeconds}s`,
    "attestation_retention.at_most": `${attestations.atMostSeconds}s`,
    "material_retention.at_least": `${materials.atLeastSeconds}s`,
    "material_retention.at_most": `${materials.atMostSeconds}s`,
  };
}
