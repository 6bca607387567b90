import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  ContextServiceCurrentRequest,
  ContextServiceCurrentResponseSchema,
} from "../../gen/controlplane/v1/context_pb.ts";
import { bearerIssuedAt } from "../bearer.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findDefaultBackend } from "../find-backend.ts";
import { backendItem } from "../items/backend-item.ts";

/** The token stands for a user without a membership, as this client knows API tokens. */
export async function current(
  { native }: ControlPlaneContext,
  _request: ContextServiceCurrentRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ContextServiceCurrentResponseSchema>> {
  const { tokenId, role } = apiPrincipal(call);
  const issuedAt = bearerIssuedAt(call.requestHeader);
  return {
    result: {
      currentUser: {
        id: tokenId,
        email: "API-token@chainloop",
        ...(issuedAt !== undefined && { createdAt: timestampFromMs(issuedAt) }),
      },
      currentCasBackend: backendItem(await findDefaultBackend(native, call), role),
    },
  };
}
