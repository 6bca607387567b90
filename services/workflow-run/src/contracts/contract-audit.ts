import { type AuditEntry, changedValues } from "@attestry/service-kit/audit";
import type { Contract } from "./contract.ts";

/** What the audit log is told of a new contract. Texts are kept by revision. */
export function contractEntry(
  { id, name, project }: Pick<Contract, "id" | "name" | "project">,
  actor: string,
): AuditEntry {
  return { actor, action: "contract.create", resource: `contract ${id}`, detail: { name, project: project || "any" } };
}

type Changeable = Pick<Contract, "id" | "name" | "description" | "latestRevision">;

/** Undefined: nothing is another. */
export function contractChangeEntry(before: Changeable, after: Changeable, actor: string): AuditEntry | undefined {
  const detail = changedValues(settingsOf(before), settingsOf(after));
  if (Object.keys(detail).length === 0) return undefined;
  const { id, name } = before;
  return { actor, action: "contract.update", resource: `contract ${id}`, detail: { name, ...detail } };
}

function settingsOf({ description, latestRevision }: Changeable): Record<string, string> {
  return { description, revision: String(latestRevision) };
}
