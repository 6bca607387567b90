import { ErrorInfoSchema } from "@attestry/api/errors";
import { CancelTrigger } from "@attestry/api/run";
import { connectErrorOf, DomainError, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type AttestationServiceCancelRequest,
  type AttestationServiceCancelResponseSchema,
  AttestationServiceCancelRequest_TriggerType as Trigger,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { fitting } from "../fitting.ts";
import { asCaller } from "../native.ts";

const longestReason = 1_024;

/**
 * Ends a run without an attestation. One that has ended without one already is no error, however it ended: the client
 * forgets its state only after an answer, and a job that is done may clear up behind one that failed.
 */
export async function cancel(
  { native }: ControlPlaneContext,
  { workflowRunId, trigger, reason }: AttestationServiceCancelRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceCancelResponseSchema>> {
  const asked = { runId: workflowRunId, trigger: triggerOf(trigger), reason: fitting(reason, longestReason) };
  await native.runs.cancel(asked, asCaller(call)).catch(unlessEnded);
  return {};
}

function unlessEnded(error: unknown): void {
  const { actual } = connectErrorOf(error).findDetails(ErrorInfoSchema)[0]?.metadata ?? {};
  if (reasonOf(error) !== "RUN_FINISHED" || actual === "success") throw error;
}

function triggerOf(trigger: Trigger): CancelTrigger {
  if (trigger === Trigger.FAILURE) return CancelTrigger.FAILURE;
  if (trigger === Trigger.CANCELLATION) return CancelTrigger.CANCELLATION;
  throw new DomainError("REQUEST_INVALID", `trigger: expected FAILURE or CANCELLATION, got ${trigger}`);
}
