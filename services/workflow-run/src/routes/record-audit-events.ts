import type { AuditServiceRecordRequest, AuditServiceRecordResponseSchema } from "@attestry/api/audit";
import { parseUuid } from "@attestry/service-kit";
import { parseAuditEntries } from "@attestry/service-kit/audit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppContext } from "../context.ts";

/** AuditService.Record: what cas-gateway, which has no database, did. */
export async function recordAuditEvents(
  context: AppContext,
  request: AuditServiceRecordRequest,
): Promise<MessageInitShape<typeof AuditServiceRecordResponseSchema>> {
  const organizationId = parseUuid(request.organizationId, "REQUEST_INVALID", "organization_id");
  await context.audit.record(organizationId, parseAuditEntries(request.events));
  return {};
}
