import type { AuditEntry } from "@attestry/service-kit/audit";
import type { Prisma } from "./client/client.ts";

/** Tells the audit log of a change, in the change's own transaction: the event is there exactly if the change is. */
export async function audited(tx: Prisma.TransactionClient, organizationId: string, entry: AuditEntry): Promise<void> {
  await tx.auditEvent.create({ data: { organizationId, ...entry } });
}
