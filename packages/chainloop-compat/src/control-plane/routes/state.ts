import { reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, type HandlerContext } from "@connectrpc/connect";
import type {
  AttestationStateServiceInitializedRequest,
  AttestationStateServiceInitializedResponseSchema,
  AttestationStateServiceReadRequest,
  AttestationStateServiceReadResponseSchema,
  AttestationStateServiceResetRequest,
  AttestationStateServiceResetResponseSchema,
  AttestationStateServiceSaveRequest,
  AttestationStateServiceSaveResponseSchema,
} from "../../gen/controlplane/v1/attestation_state_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { asCaller, unless } from "../native.ts";
import { refusal } from "../told.ts";

// The client's remote state: bytes that the native CraftingStateService keeps, under its optimistic lock.

export async function initialized(
  { native }: ControlPlaneContext,
  { workflowRunId }: AttestationStateServiceInitializedRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationStateServiceInitializedResponseSchema>> {
  const asked = { runId: workflowRunId };
  const found = await native.states.get(asked, asCaller(call)).catch(unless("CRAFTING_STATE_NOT_FOUND"));
  return { result: { initialized: found !== undefined } };
}

export async function readState(
  { native }: ControlPlaneContext,
  { workflowRunId }: AttestationStateServiceReadRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationStateServiceReadResponseSchema>> {
  const { state, digest } = await native.states.get({ runId: workflowRunId }, asCaller(call));
  return { result: { attestationState: state, digest } };
}

export async function saveState(
  { native }: ControlPlaneContext,
  { workflowRunId, attestationState, baseDigest }: AttestationStateServiceSaveRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationStateServiceSaveResponseSchema>> {
  const asked = { runId: workflowRunId, state: attestationState, baseDigest };
  const { digest } = await native.states.save(asked, asCaller(call)).catch((error: unknown) => {
    if (reasonOf(error) !== "CRAFTING_STATE_CHANGED") throw error;
    // By this reason the client reads the state again and repeats its step.
    throw refusal(
      Code.Aborted,
      "the attestation state was changed by another command since it was read",
      "ATTESTATION_STATE_ERROR_CONFLICT",
    );
  });
  return { digest };
}

export async function resetState(
  { native }: ControlPlaneContext,
  { workflowRunId }: AttestationStateServiceResetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationStateServiceResetResponseSchema>> {
  await native.states.delete({ runId: workflowRunId }, asCaller(call));
  return {};
}
