import { BackendStatus } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  AttestationServiceInitRequest,
  AttestationServiceInitResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findDefaultBackend } from "../find-backend.ts";
import { findWorkflow } from "../find-workflow.ts";
import { fitting } from "../fitting.ts";
import { runItem, runnerName } from "../items/run-item.ts";
import { workflowItem } from "../items/workflow-item.ts";
import { asCaller, given, type Native } from "../native.ts";

/** Of runs that name no version and do not ask for the latest. */
const defaultVersion = "v0";
const versionPattern = /^[A-Za-z0-9.+-]+$/;

/** In characters. */
const longestJobUrl = 2_048;

/** The one authority that there is, by the name that the client writes into its predicate. */
const signingCa = "fileCA";

/** Begins a run of a workflow that is there. */
export async function init(
  { native }: ControlPlaneContext,
  request: AttestationServiceInitRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceInitResponseSchema>> {
  const { organizationId, organization } = apiPrincipal(call);
  const name = { project: request.projectName, name: request.workflowName };
  const [workflow] = await Promise.all([findWorkflow(native, name, call), checkDefaultBackend(native, call)]);
  const created = await native.runs.create(
    {
      project: workflow.project,
      workflow: workflow.name,
      jobUrl: knownUrl(request.jobUrl),
      contractRevision: request.contractRevision,
      runner: runnerName(request.runner),
      projectVersion: askedVersion(request),
    },
    asCaller(call),
  );
  const run = given(created.run, "the run");
  return {
    result: {
      // The workflow as it was before this run.
      workflowRun: { ...runItem(run, workflow.contractRevision), workflow: workflowItem(workflow, organizationId) },
      organization,
      blockOnPolicyViolation: run.blockOnPolicyViolation,
      signingOptions: { signingCa },
    },
  };
}

function askedVersion({
  projectVersion,
  requireExistingVersion,
  useLatestVersion,
  markAsLatest,
}: AttestationServiceInitRequest) {
  if (useLatestVersion && projectVersion !== "")
    throw invalid("cannot specify both a project version and use-latest-version");
  if (useLatestVersion && markAsLatest !== undefined)
    throw invalid("--mark-latest and --latest-version are mutually exclusive");
  if (projectVersion === "") {
    // The first version of a project is its latest all the same.
    const version = useLatestVersion ? "" : defaultVersion;
    return { version, ...(!useLatestVersion && { markLatest: markAsLatest ?? false }) };
  }
  if (!versionPattern.test(projectVersion))
    throw invalid(`project_version: expected letters, digits, '.', '+' and '-', got ${JSON.stringify(projectVersion)}`);
  return {
    version: projectVersion,
    mustExist: requireExistingVersion && projectVersion !== defaultVersion,
    ...(markAsLatest !== undefined && { markLatest: markAsLatest }),
  };
}

/** Empty for what is none to follow, or none that the native API takes: a job is not to fail because of it. */
function knownUrl(jobUrl: string): string {
  const isTaken = fitting(jobUrl, longestJobUrl) === jobUrl && !/[\p{C}\p{Zl}\p{Zp}]/u.test(jobUrl);
  return isTaken ? jobUrl : "";
}

/** A job that adds files would find out only then. */
async function checkDefaultBackend(native: Native, call: HandlerContext): Promise<void> {
  const backend = await findDefaultBackend(native, call);
  if (backend.status !== BackendStatus.INVALID) return;
  throw new DomainError(
    "BACKEND_INVALID",
    `the CAS backend ${backend.name} can't be reached: ${backend.validationError}`,
  );
}

function invalid(message: string): DomainError {
  return new DomainError("REQUEST_INVALID", `validation error: ${message}`);
}
