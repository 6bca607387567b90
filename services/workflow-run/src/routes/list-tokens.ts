import type { TokenServiceListRequest, TokenServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { tokenMessage } from "../messages.ts";

export async function listTokens(
  context: AppContext,
  request: TokenServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof TokenServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const scope = { kind: "tokens", filters: { organizationId } };
  const { rows, nextPageToken } = await readPage(request, scope, (afterId, limit) =>
    context.tokens.list(organizationId, afterId, limit),
  );
  return { tokens: rows.map(tokenMessage), nextPageToken };
}
