import { type AccessTable, methodName } from "@attestry/service-kit";
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

export const services = [
  AttestationService,
  AttestationStateService,
  CASBackendService,
  CASCredentialsService,
  ContextService,
  ReferrerService,
  SigningService,
  StatusService,
  WorkflowContractService,
  WorkflowRunService,
  WorkflowService,
] as const;

/** Who may call what. The native calls behind it have rules of their own, by the same token. */
export const access: AccessTable = {
  [methodName(AttestationService.method.findOrCreateWorkflow)]: { api: "ci" },
  [methodName(AttestationService.method.getContract)]: { api: "reader" },
  [methodName(AttestationService.method.init)]: { api: "ci" },
  [methodName(AttestationService.method.getUploadCreds)]: { api: "ci" },
  [methodName(AttestationService.method.store)]: { api: "ci" },
  [methodName(AttestationService.method.cancel)]: { api: "ci" },

  [methodName(AttestationStateService.method.initialized)]: { api: "ci" },
  [methodName(AttestationStateService.method.read)]: { api: "ci" },
  [methodName(AttestationStateService.method.save)]: { api: "ci" },
  [methodName(AttestationStateService.method.reset)]: { api: "ci" },

  [methodName(CASBackendService.method.list)]: { api: "admin" },
  [methodName(CASCredentialsService.method.get)]: { api: "reader" },
  [methodName(ContextService.method.current)]: { api: "reader" },
  [methodName(ReferrerService.method.discoverPrivate)]: { api: "reader" },

  [methodName(SigningService.method.generateSigningCert)]: { api: "ci" },
  [methodName(SigningService.method.getTrustedRoot)]: { api: "reader" },

  [methodName(StatusService.method.infoz)]: { public: true },
  [methodName(StatusService.method.statusz)]: { public: true },

  [methodName(WorkflowContractService.method.list)]: { api: "reader" },
  [methodName(WorkflowContractService.method.create)]: { api: "ci" },
  [methodName(WorkflowContractService.method.describe)]: { api: "reader" },
  [methodName(WorkflowContractService.method.update)]: { api: "ci" },
  [methodName(WorkflowContractService.method.apply)]: { api: "ci" },

  [methodName(WorkflowRunService.method.list)]: { api: "reader" },
  [methodName(WorkflowRunService.method.view)]: { api: "reader" },

  [methodName(WorkflowService.method.create)]: { api: "ci" },
  [methodName(WorkflowService.method.list)]: { api: "reader" },
  [methodName(WorkflowService.method.view)]: { api: "reader" },
};
