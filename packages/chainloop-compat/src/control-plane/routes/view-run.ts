import { type Run, type RunServiceGetRequestSchema, RunState } from "@attestry/api/run";
import { apiPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  WorkflowRunServiceViewRequest,
  WorkflowRunServiceViewResponseSchema,
} from "../../gen/controlplane/v1/workflow_run_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findWorkflow } from "../find-workflow.ts";
import { contractRevisionItem } from "../items/contract-item.ts";
import { runItem } from "../items/run-item.ts";
import { workflowOfRun } from "../items/workflow-item.ts";
import { asCaller, type Native } from "../native.ts";
import { attestationItem } from "../predicate/attestation-item.ts";

/** What this client takes of one message, less what stands around the attestation. */
const largestAnswerBytes = 4 * 1024 * 1024 - 256 * 1024;

/** A run with its contract and its attestation, by its id or by the attestation's digest. */
export async function viewRun(
  { native }: ControlPlaneContext,
  { ref }: WorkflowRunServiceViewRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowRunServiceViewResponseSchema>> {
  const { organizationId, organization } = apiPrincipal(call);
  const { run } = await native.runs.get({ by: askedRun(ref) }, asCaller(call));
  if (run === undefined) throw new Error("workflow-run answered without the run");
  const [workflow, attestation] = await Promise.all([
    findWorkflow(native, { project: run.project, name: run.workflow }, call),
    findAttestation(native, run, call),
  ]);
  return {
    result: {
      orgName: organization,
      workflowRun: {
        ...runItem(run, workflow.contractRevision),
        workflow: workflowOfRun(workflow, organizationId),
        ...(run.contractRevision > 0 && {
          contractVersion: await findContract(native, workflow.contract, run.contractRevision, call),
        }),
      },
      ...(attestation && { attestation }),
    },
  };
}

type AskedRun = NonNullable<MessageInitShape<typeof RunServiceGetRequestSchema>["by"]>;

function askedRun(ref: WorkflowRunServiceViewRequest["ref"]): AskedRun {
  if (ref.case === "id") return { case: "runId", value: ref.value };
  if (ref.case === "digest") return { case: "digest", value: ref.value };
  throw new DomainError("REQUEST_INVALID", "id or digest required");
}

async function findContract(native: Native, name: string, revision: number, call: HandlerContext) {
  const { contract, revision: found } = await native.contracts.get({ name, revision }, asCaller(call));
  if (found === undefined) throw new Error("workflow-run answered without the contract's revision");
  return contractRevisionItem(found, contract);
}

/** Undefined if the run has none (any more). What does not fit one message of this client is an error that says where it is. */
async function findAttestation(native: Native, run: Run, call: HandlerContext) {
  if (run.state !== RunState.SUCCESS) return undefined;
  try {
    const { bundle } = await native.attestations.get({ by: { case: "runId", value: run.id } }, asCaller(call));
    const item = attestationItem(run, bundle);
    const envelopeBytes = item.envelope?.byteLength ?? 0;
    if (envelopeBytes > largestAnswerBytes) throw tooLarge(run);
    // Without the bundle this client shows the attestation all the same, and does not call it verified.
    return envelopeBytes + bundle.byteLength > largestAnswerBytes ? { ...item, bundle: new Uint8Array() } : item;
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === "ATTESTATION_NOT_FOUND") return undefined;
    if (reason === "BUNDLE_NEEDS_DOWNLOAD") throw tooLarge(run);
    throw error;
  }
}

function tooLarge(run: Run): DomainError {
  return new DomainError(
    "BUNDLE_NEEDS_DOWNLOAD",
    `the attestation is larger than this command line takes in one message; get it with: attestry get ${run.attestationDigest}`,
  );
}
