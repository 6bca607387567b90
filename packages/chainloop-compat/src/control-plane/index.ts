import type { AccessTable } from "@attestry/service-kit";
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, Transport } from "@connectrpc/connect";
import { AttestationService } from "../gen/controlplane/v1/attestation_pb.ts";
import { AttestationStateService } from "../gen/controlplane/v1/attestation_state_pb.ts";
import { CASBackendService } from "../gen/controlplane/v1/cas_backend_pb.ts";
import { CASCredentialsService } from "../gen/controlplane/v1/cas_credentials_pb.ts";
import { ContextService } from "../gen/controlplane/v1/context_pb.ts";
import { ReferrerService } from "../gen/controlplane/v1/referrer_pb.ts";
import { SigningService } from "../gen/controlplane/v1/signing_pb.ts";
import { StatusService } from "../gen/controlplane/v1/status_pb.ts";
import { WorkflowContractService } from "../gen/controlplane/v1/workflow_contract_pb.ts";
import { WorkflowService } from "../gen/controlplane/v1/workflow_pb.ts";
import { WorkflowRunService } from "../gen/controlplane/v1/workflow_run_pb.ts";
import { access, services } from "./access.ts";
import type { ControlPlaneContext } from "./context.ts";
import { EvaluationsInCas } from "./evaluations-in-cas.ts";
import { createNative } from "./native.ts";
import { Reader } from "./reading/reader.ts";
import { applyContract } from "./routes/apply-contract.ts";
import { cancel } from "./routes/cancel.ts";
import { createContract, describeContract, listContracts, updateContract } from "./routes/contracts.ts";
import { current } from "./routes/current.ts";
import { discover } from "./routes/discover.ts";
import { findOrCreateWorkflow } from "./routes/find-or-create-workflow.ts";
import { getCasCredentials } from "./routes/get-cas-credentials.ts";
import { getContract } from "./routes/get-contract.ts";
import { getUploadCreds } from "./routes/get-upload-creds.ts";
import { init } from "./routes/init.ts";
import { listCasBackends } from "./routes/list-cas-backends.ts";
import { listRuns } from "./routes/list-runs.ts";
import { generateSigningCert, getTrustedRoot } from "./routes/signing.ts";
import { initialized, readState, resetState, saveState } from "./routes/state.ts";
import { infoz, statusz } from "./routes/status.ts";
import { store, storeReadMaxBytes } from "./routes/store.ts";
import { viewRun } from "./routes/view-run.ts";
import { createWorkflow, listWorkflows, viewWorkflow } from "./routes/workflows.ts";
import { told } from "./told.ts";

export { access } from "./access.ts";

/** The control plane of the chainloop command line, in front of the native API. */
export interface ControlPlane {
  readonly services: readonly DescService[];
  readonly access: AccessTable;
  routes(router: ConnectRouter): void;
  destroy(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** To workflow-run and attestation-ingest. Calls over them bring the token of whoever calls here. */
  run: Transport;
  ingest: Transport;
  /** To cas-gateway, with CAS tokens that were issued to that caller. */
  cas: Transport;
  version: string;
}

export function createControlPlane({ run, ingest, cas, version }: ControlPlaneOptions): ControlPlane {
  const native = createNative({ run, ingest });
  const reader = new Reader();
  const context = { native, reader, evaluations: new EvaluationsInCas(native, cas), version };
  return {
    services,
    access,
    routes: (router) => registerRoutes(router, context),
    destroy: () => reader.destroy(),
  };
}

function registerRoutes(router: ConnectRouter, context: ControlPlaneContext): void {
  type Handler<Request, Response> = (
    context: ControlPlaneContext,
    request: Request,
    call: HandlerContext,
  ) => Response | Promise<Response>;
  const bind = <Request, Response>(handler: Handler<Request, Response>) => {
    return async (request: Request, call: HandlerContext): Promise<Response> => {
      try {
        return await handler(context, request, call);
      } catch (error) {
        throw told(error);
      }
    };
  };
  const { store: storeMethod, ...attestation } = AttestationService.method;
  router.rpc(storeMethod, bind(store), { readMaxBytes: storeReadMaxBytes });
  router.rpc(attestation.findOrCreateWorkflow, bind(findOrCreateWorkflow));
  router.rpc(attestation.getContract, bind(getContract));
  router.rpc(attestation.init, bind(init));
  router.rpc(attestation.getUploadCreds, bind(getUploadCreds));
  router.rpc(attestation.cancel, bind(cancel));
  router.service(AttestationStateService, {
    initialized: bind(initialized),
    read: bind(readState),
    save: bind(saveState),
    reset: bind(resetState),
  });
  router.service(CASBackendService, { list: bind(listCasBackends) });
  router.service(CASCredentialsService, { get: bind(getCasCredentials) });
  router.service(ContextService, { current: bind(current) });
  router.service(ReferrerService, { discoverPrivate: bind(discover) });
  router.service(SigningService, {
    generateSigningCert: bind(generateSigningCert),
    getTrustedRoot: bind(getTrustedRoot),
  });
  router.service(StatusService, { infoz: bind(infoz), statusz: bind(statusz) });
  router.service(WorkflowContractService, {
    list: bind(listContracts),
    create: bind(createContract),
    describe: bind(describeContract),
    update: bind(updateContract),
    apply: bind(applyContract),
  });
  router.service(WorkflowRunService, { list: bind(listRuns), view: bind(viewRun) });
  router.service(WorkflowService, {
    create: bind(createWorkflow),
    list: bind(listWorkflows),
    view: bind(viewWorkflow),
  });
}
