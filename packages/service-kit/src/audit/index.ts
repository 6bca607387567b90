export { type AuditEntry, type AuditEvent, type AuditFilter, AuditLog } from "./audit-log.ts";
export { changedValues } from "./changed-values.ts";
export { type AuditPage, listAuditEvents } from "./list-audit-events.ts";
export { parseAuditEntries } from "./parse-audit-entries.ts";
