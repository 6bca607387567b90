import { type AuditEntry, changedValues } from "@attestry/service-kit/audit";
import type { Backend, NewBackend } from "./backend.ts";

/** What the audit log is told of a backend that was made or deleted. */
export function backendEntry(verb: "create" | "delete", backend: NewBackend, actor: string): AuditEntry {
  const { id, name } = backend;
  const detail = { name, provider: backend.provider, prefix: backend.prefix, ...settingsOf(backend) };
  return { actor, action: `backend.${verb}`, resource: `backend ${id}`, detail };
}

/** Each setting that has another value now, old and new; undefined: none has. */
export function backendChangeEntry(before: Backend, after: Backend, actor: string): AuditEntry | undefined {
  const detail = changedValues(settingsOf(before), settingsOf(after));
  if (Object.keys(detail).length === 0) return undefined;
  const resource = `backend ${before.id}`;
  return { actor, action: "backend.update", resource, detail: { name: before.name, ...detail } };
}

function settingsOf({ secretRef, maxBytes, isDefault }: NewBackend): Record<string, string> {
  return { secret_ref: secretRef, max_bytes: String(maxBytes), is_default: String(isDefault) };
}
