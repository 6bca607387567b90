import { BackendProvider } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  AttestationServiceGetUploadCredsRequest,
  AttestationServiceGetUploadCredsResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findBackend } from "../find-backend.ts";
import { backendItem } from "../items/backend-item.ts";
import { asCaller } from "../native.ts";

/** Where the materials of a run go; without a token they are embedded in the attestation. */
export async function getUploadCreds(
  { native }: ControlPlaneContext,
  { workflowRunId }: AttestationServiceGetUploadCredsRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceGetUploadCredsResponseSchema>> {
  const { run } = await native.runs.get({ by: { case: "runId", value: workflowRunId } }, asCaller(call));
  const backend = await findBackend(native, run?.backendName ?? "", call);
  const shown = backendItem(backend, apiPrincipal(call).role);
  if (backend.provider === BackendProvider.INLINE) return { result: { backend: shown } };
  const purpose = { case: "uploadForRun" as const, value: { runId: workflowRunId } };
  const { token } = await native.credentials.issueCasToken({ purpose }, asCaller(call));
  return { result: { token, backend: shown } };
}
