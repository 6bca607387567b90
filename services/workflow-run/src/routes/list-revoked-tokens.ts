import type { TokenServiceListRevokedRequest, TokenServiceListRevokedResponseSchema } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type AppContext, revokedPageSize } from "../context.ts";

export function listRevokedTokens(
  context: AppContext,
  request: TokenServiceListRevokedRequest,
): Promise<MessageInitShape<typeof TokenServiceListRevokedResponseSchema>> {
  if (request.cursor < 0n)
    throw new DomainError("REQUEST_INVALID", `cursor must be 0 or a next_cursor; came ${request.cursor}`);
  return context.tokens.listRevoked(request.cursor, revokedPageSize);
}
