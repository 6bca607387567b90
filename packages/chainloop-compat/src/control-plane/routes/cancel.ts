import { CancelTrigger } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type AttestationServiceCancelRequest,
  type AttestationServiceCancelResponseSchema,
  AttestationServiceCancelRequest_TriggerType as Trigger,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { asCaller } from "../native.ts";

/** Ends a run without an attestation. */
export async function cancel(
  { native }: ControlPlaneContext,
  { workflowRunId, trigger, reason }: AttestationServiceCancelRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceCancelResponseSchema>> {
  await native.runs.cancel({ runId: workflowRunId, trigger: triggerOf(trigger), reason }, asCaller(call));
  return {};
}

function triggerOf(trigger: Trigger): CancelTrigger {
  if (trigger === Trigger.FAILURE) return CancelTrigger.FAILURE;
  if (trigger === Trigger.CANCELLATION) return CancelTrigger.CANCELLATION;
  throw new DomainError("REQUEST_INVALID", `trigger: expected FAILURE or CANCELLATION, got ${trigger}`);
}
