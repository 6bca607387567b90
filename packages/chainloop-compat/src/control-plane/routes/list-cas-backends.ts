import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  CASBackendServiceListRequest,
  CASBackendServiceListResponseSchema,
} from "../../gen/controlplane/v1/cas_backend_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { backendItem } from "../items/backend-item.ts";
import { asCaller } from "../native.ts";

/** Of the caller's organization; a job's token may not see them (access.ts). */
export async function listCasBackends(
  { native }: ControlPlaneContext,
  _request: CASBackendServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CASBackendServiceListResponseSchema>> {
  const { backends } = await native.backends.list({}, asCaller(call));
  const { role } = apiPrincipal(call);
  return { result: backends.map((backend) => backendItem(backend, role)) };
}
