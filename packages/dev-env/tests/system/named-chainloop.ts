import type { Ask } from "./named-resources.ts";

// The same as named-resources.ts of what the chainloop command line asks for: the native calls behind it decide.

const plane = "controlplane.v1";

const ofRun = (method: string, more: Record<string, string> = {}): Ask => ({
  method: `${plane}.${method}`,
  told: "NotFound RUN_NOT_FOUND",
  request: ({ run }) => ({ workflowRunId: run, ...more }),
});

const ofWorkflow = (method: string): Ask => ({
  method: `${plane}.${method}`,
  told: "NotFound WORKFLOW_NOT_FOUND",
  request: ({ project, workflow }) => ({ projectName: project, workflowName: workflow }),
});

export const chainloopAsks: Ask[] = [
  ofWorkflow("AttestationService/GetContract"),
  ofWorkflow("AttestationService/Init"),
  ofWorkflow("WorkflowRunService/List"),
  ofRun("AttestationService/GetUploadCreds"),
  ofRun("AttestationService/Cancel", { trigger: "TRIGGER_TYPE_FAILURE" }),
  {
    method: `${plane}.AttestationService/Store`,
    told: "NotFound RUN_NOT_FOUND",
    request: ({ run, bundle }) => ({ workflowRunId: run, attestationBundle: bundle }),
  },
  ...["Initialized", "Read", "Save", "Reset"].map((name) => ofRun(`AttestationStateService/${name}`)),
  {
    method: `${plane}.WorkflowRunService/View`,
    told: "NotFound RUN_NOT_FOUND",
    request: ({ run }) => ({ id: run }),
  },
  {
    method: `${plane}.WorkflowRunService/View`,
    told: "NotFound RUN_NOT_FOUND",
    request: ({ digest }) => ({ digest }),
  },
  {
    method: `${plane}.WorkflowService/View`,
    told: "NotFound WORKFLOW_NOT_FOUND",
    request: ({ project, workflow }) => ({ projectName: project, name: workflow }),
  },
  {
    method: `${plane}.WorkflowService/List`,
    told: "OK",
    request: ({ project }) => ({ projectNames: [project] }),
  },
  {
    method: `${plane}.WorkflowContractService/Describe`,
    told: "NotFound CONTRACT_NOT_FOUND",
    request: ({ contract }) => ({ name: contract }),
  },
  {
    method: `${plane}.WorkflowContractService/Update`,
    told: "NotFound CONTRACT_NOT_FOUND",
    request: ({ contract }) => ({ name: contract, description: "mine" }),
  },
  {
    method: `${plane}.ReferrerService/DiscoverPrivate`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: ({ digest }) => ({ digest }),
  },
];

/** Methods whose requests name nothing that another organization could have. */
export const chainloopNamesNothing = [
  `${plane}.AttestationService/FindOrCreateWorkflow`, // creates within the caller's organization
  `${plane}.CASBackendService/List`,
  `${plane}.CASCredentialsService/Get`, // a digest for the caller's own backends; the gateway looks there alone
  `${plane}.ContextService/Current`,
  `${plane}.SigningService/GenerateSigningCert`, // for the caller's organization, whatever the request says
  `${plane}.SigningService/GetTrustedRoot`, // one for all organizations, and no secret
  `${plane}.StatusService/Infoz`,
  `${plane}.StatusService/Statusz`,
  `${plane}.WorkflowContractService/Apply`, // creates within the caller's organization
  `${plane}.WorkflowContractService/Create`,
  `${plane}.WorkflowContractService/List`,
  `${plane}.WorkflowService/Create`,
];
