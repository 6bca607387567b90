import type { AuditEventSchema } from "@attestry/api/audit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { apiPrincipal } from "../auth/principal.ts";
import { type PageRequest, readPage } from "../paging.ts";
import type { AuditEvent, AuditLog } from "./audit-log.ts";
import { parseAuditText } from "./parse-audit-entries.ts";

export interface AuditPage {
  events: MessageInitShape<typeof AuditEventSchema>[];
  nextPageToken: string;
}

/** AuditService.List of whichever service keeps the events. Throws PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID, REQUEST_INVALID. */
export async function listAuditEvents(
  log: Pick<AuditLog, "list">,
  request: PageRequest & { action: string },
  call: HandlerContext,
): Promise<AuditPage> {
  const { organizationId } = apiPrincipal(call);
  const action = request.action === "" ? undefined : parseAuditText(request.action, "action");
  const scope = { kind: "audit events", filters: { organizationId, action }, ids: "numbers" as const };
  const { rows, nextPageToken } = await readPage(request, scope, (beforeId, limit) =>
    log.list({ organizationId, action, beforeId, limit }),
  );
  return { events: rows.map(auditEventMessage), nextPageToken };
}

function auditEventMessage({ id, at, ...entry }: AuditEvent): MessageInitShape<typeof AuditEventSchema> {
  return { ...entry, number: BigInt(id), at: timestampFromDate(at) };
}
