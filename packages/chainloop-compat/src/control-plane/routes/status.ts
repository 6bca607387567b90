import type { MessageInitShape } from "@bufbuild/protobuf";
import type { InfozResponseSchema, StatuszResponseSchema } from "../../gen/controlplane/v1/status_pb.ts";
import type { ControlPlaneContext } from "../context.ts";

/** There is no dashboard and no login: the client prints no links. */
export function infoz({ version }: ControlPlaneContext): MessageInitShape<typeof InfozResponseSchema> {
  return { version };
}

/** That it answers says all: whether it is ready, /readyz tells. */
export function statusz(): MessageInitShape<typeof StatuszResponseSchema> {
  return {};
}
