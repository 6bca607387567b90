import type { AuditServiceListRequest, AuditServiceListResponseSchema } from "@attestry/api/audit";
import { listAuditEvents as list } from "@attestry/service-kit/audit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";

export function listAuditEvents(
  context: AppContext,
  request: AuditServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AuditServiceListResponseSchema>> {
  return list(context.audit, request, call);
}
