import { connectErrorOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, type HandlerContext } from "@connectrpc/connect";
import pRetry from "p-retry";
import type {
  AttestationServiceStoreRequest,
  AttestationServiceStoreResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { asCaller } from "../native.ts";

/** The bundle of this request, and the rest of the message. */
export const storeReadMaxBytes: number = 33 * 1024 * 1024;

/** Keeps the attestation of a run: what the native Store does. A version is released once that is done; a retry does the rest. */
export async function store(
  { native }: ControlPlaneContext,
  { workflowRunId, attestationBundle, markVersionAsReleased }: AttestationServiceStoreRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceStoreResponseSchema>> {
  const asked = { runId: workflowRunId, bundle: attestationBundle };
  const { digest } = await native.attestations.store(asked, asCaller(call));
  if (markVersionAsReleased) await releaseVersion({ native }, workflowRunId, call);
  return { result: { digest } };
}

async function releaseVersion(
  { native }: Pick<ControlPlaneContext, "native">,
  runId: string,
  call: HandlerContext,
): Promise<void> {
  const { run } = await native.runs.get({ by: { case: "runId", value: runId } }, asCaller(call));
  if (run?.projectVersion === undefined) return;
  const asked = { project: run.project, version: run.projectVersion.version };
  await pRetry(() => native.projects.releaseVersion(asked, asCaller(call)), {
    ...{ retries: 3, minTimeout: 200, maxRetryTime: 5_000, signal: call.signal },
    shouldRetry: ({ error }) => connectErrorOf(error).code === Code.Unavailable,
  });
}
