import { type Run, RunState } from "@attestry/api/run";
import { apiPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type AttestationItem,
  AttestationItemSchema,
  type WorkflowRunServiceViewRequest,
  type WorkflowRunServiceViewResponse,
  WorkflowRunServiceViewResponseSchema,
} from "../../gen/controlplane/v1/workflow_run_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findWorkflow } from "../find-workflow.ts";
import { contractRevisionItem } from "../items/contract-item.ts";
import { runItem, summaryItem } from "../items/run-item.ts";
import { workflowOfRun } from "../items/workflow-item.ts";
import { type AskedRun, asCaller, given, type Native, unless } from "../native.ts";
import type { ReadVerification } from "../reading/task.ts";

/** What this client takes of one message. */
const largestAnswerBytes = 4 * 1024 * 1024;
/** Of a material's text, in characters. */
const longestLine = 1_000;

/** A run with its contract and its attestation, by its id or by the attestation's digest. */
export async function viewRun(
  context: ControlPlaneContext,
  { ref, verify }: WorkflowRunServiceViewRequest,
  call: HandlerContext,
): Promise<WorkflowRunServiceViewResponse> {
  const { native } = context;
  const { organizationId, organization } = apiPrincipal(call);
  const found = await native.runs.get({ by: askedRun(ref) }, asCaller(call));
  const run = given(found.run, "the run");
  const [workflow, kept] = await Promise.all([
    findWorkflow(native, { project: run.project, name: run.workflow }, call),
    findAttestation(native, run, call),
  ]);
  const [attestation, verification] = await Promise.all([
    kept && attestationItem(context, run, kept.bundle, call),
    kept && verify ? verifiedBy(context, kept, call) : undefined,
  ]);
  const response = create(WorkflowRunServiceViewResponseSchema, {
    result: {
      orgName: organization,
      workflowRun: {
        ...runItem(run, workflow.contractRevision),
        workflow: workflowOfRun(workflow, organizationId),
        ...(run.contractRevision > 0 && {
          contractVersion: await findContract(
            context,
            { name: workflow.contract, revision: run.contractRevision },
            call,
          ),
        }),
      },
      ...(attestation && { attestation }),
      ...(verification && { verification }),
    },
  });
  return fitting(response, run);
}

function askedRun(ref: WorkflowRunServiceViewRequest["ref"]): AskedRun {
  if (ref.case === "id") return { case: "runId", value: ref.value };
  if (ref.case === "digest") return { case: "digest", value: ref.value };
  throw new DomainError("REQUEST_INVALID", "id or digest required");
}

async function findContract(
  { native, reader }: ControlPlaneContext,
  asked: { name: string; revision: number },
  call: HandlerContext,
) {
  const found = await native.contracts.get(asked, asCaller(call));
  const revision = given(found.revision, "the contract's revision");
  return contractRevisionItem(revision, await reader.contract(revision.text, call.signal), found.contract);
}

async function attestationItem(
  { evaluations, reader }: ControlPlaneContext,
  run: Run,
  bundle: Uint8Array,
  call: HandlerContext,
): Promise<AttestationItem> {
  const read = (kept: Uint8Array | undefined) =>
    reader.bundle({ kind: "attestation", bundle, evaluations: kept }, call.signal);
  let said = await read(undefined);
  const kept = said.evaluationsRef === "" ? undefined : await evaluations.find(said.evaluationsRef, call);
  if (kept !== undefined) said = await read(kept);
  const item = fromBinary(AttestationItemSchema, said.item);
  if (item.policyEvaluationStatus !== undefined) item.policyEvaluationStatus.summary = summaryItem(run.policySummary);
  return { ...item, bundle, digestInCasBackend: run.attestationDigest };
}

/** By this server's authorities; undefined where there is nothing to verify, or by. */
async function verifiedBy(
  { native, reader }: ControlPlaneContext,
  { bundle, receivedAt }: Kept,
  call: HandlerContext,
): Promise<ReadVerification | undefined> {
  const found = await native.signing.getAuthority({}, asCaller(call)).catch(unless("SIGNING_NOT_SET_UP"));
  if (found === undefined) return undefined;
  const authorities = [found, ...found.former].map(({ certificates }) => certificates.join(""));
  const task = { kind: "verification" as const, bundle, authorities, receivedAt };
  return (await reader.bundle(task, call.signal)) ?? undefined;
}

interface Kept {
  bundle: Uint8Array;
  receivedAt: Date;
}

/** Undefined if the run has none (any more). What does not fit one message of this client is an error that says where it is. */
async function findAttestation({ attestations }: Native, run: Run, call: HandlerContext): Promise<Kept | undefined> {
  if (run.state !== RunState.SUCCESS) return undefined;
  try {
    const by = { case: "runId" as const, value: run.id };
    const { bundle, attestation } = await attestations.get({ by }, asCaller(call));
    return { bundle, receivedAt: timestampDate(given(attestation?.receivedAt, "the time of receipt")) };
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === "ATTESTATION_NOT_FOUND") return undefined;
    if (reason === "BUNDLE_NEEDS_DOWNLOAD") throw tooLarge(run);
    throw error;
  }
}

/**
 * As much of it as this client takes, without what it can do without, one after the other: the bytes of materials, of which
 * it shows the text; evaluations, of which it shows the counts; texts of materials that are no line of a table any more; the
 * bundle, without which it shows the attestation all the same and does not call it verified.
 */
function fitting(response: WorkflowRunServiceViewResponse, run: Run): WorkflowRunServiceViewResponse {
  const isTooLarge = () => toBinary(WorkflowRunServiceViewResponseSchema, response).length > largestAnswerBytes;
  const attestation = response.result?.attestation;
  if (attestation === undefined) return response;
  const { materials } = attestation;
  const shorten: (() => void)[] = [
    () => {
      for (const one of materials) one.rawValue = new Uint8Array();
    },
    () => {
      attestation.policyEvaluations = {};
    },
    () => {
      for (const one of materials) if (one.value.length > longestLine) one.value = "";
    },
    () => {
      attestation.bundle = new Uint8Array();
    },
  ];
  for (const leaveOut of shorten) {
    if (!isTooLarge()) return response;
    leaveOut();
  }
  if (isTooLarge()) throw tooLarge(run);
  return response;
}

function tooLarge(run: Run): DomainError {
  return new DomainError(
    "BUNDLE_NEEDS_DOWNLOAD",
    `the attestation is larger than this command line takes in one message; get it with: attestry get ${run.attestationDigest}`,
  );
}
