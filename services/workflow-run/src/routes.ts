import { AuditService } from "@attestry/api/audit";
import {
  BackendService,
  ContractService,
  CraftingStateService,
  CredentialService,
  FederationService,
  OrganizationService,
  ProjectService,
  RunService,
  SigningService,
  TokenService,
  TrustService,
  WorkflowService,
} from "@attestry/api/run";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "./context.ts";
import { cancelRun } from "./routes/cancel-run.ts";
import { completeRun } from "./routes/complete-run.ts";
import { createBackend } from "./routes/create-backend.ts";
import { createContract } from "./routes/create-contract.ts";
import { createFederationRule } from "./routes/create-federation-rule.ts";
import { createOrganization } from "./routes/create-organization.ts";
import { createRun } from "./routes/create-run.ts";
import { createToken } from "./routes/create-token.ts";
import { deleteBackend } from "./routes/delete-backend.ts";
import { deleteCraftingState } from "./routes/delete-crafting-state.ts";
import { deleteFederationRule } from "./routes/delete-federation-rule.ts";
import { exchangeToken } from "./routes/exchange-token.ts";
import { findOrCreateWorkflow } from "./routes/find-or-create-workflow.ts";
import { getBackend } from "./routes/get-backend.ts";
import { getContract } from "./routes/get-contract.ts";
import { getCraftingState } from "./routes/get-crafting-state.ts";
import { getOrganization } from "./routes/get-organization.ts";
import { getProjectVersion } from "./routes/get-project-version.ts";
import { getRun } from "./routes/get-run.ts";
import { getSigningAuthority } from "./routes/get-signing-authority.ts";
import { getStoragePlan } from "./routes/get-storage-plan.ts";
import { getTrust } from "./routes/get-trust.ts";
import { getWorkflow } from "./routes/get-workflow.ts";
import { issueCasToken } from "./routes/issue-cas-token.ts";
import { issueCertificate } from "./routes/issue-certificate.ts";
import { listAuditEvents } from "./routes/list-audit-events.ts";
import { listBackends } from "./routes/list-backends.ts";
import { listContracts } from "./routes/list-contracts.ts";
import { listFederationRules } from "./routes/list-federation-rules.ts";
import { listOrganizations } from "./routes/list-organizations.ts";
import { listRevokedTokens } from "./routes/list-revoked-tokens.ts";
import { listRuns } from "./routes/list-runs.ts";
import { listTokens } from "./routes/list-tokens.ts";
import { listWorkflows } from "./routes/list-workflows.ts";
import { recordAuditEvents } from "./routes/record-audit-events.ts";
import { recordTokenUses } from "./routes/record-token-uses.ts";
import { releaseProjectVersion } from "./routes/release-project-version.ts";
import { revokeToken } from "./routes/revoke-token.ts";
import { saveCraftingState } from "./routes/save-crafting-state.ts";
import { setTrust } from "./routes/set-trust.ts";
import { updateBackend } from "./routes/update-backend.ts";
import { updateContract } from "./routes/update-contract.ts";
import { updateOrganization } from "./routes/update-organization.ts";
import { validateBackend } from "./routes/validate-backend.ts";

export const services = [
  OrganizationService,
  WorkflowService,
  ContractService,
  ProjectService,
  RunService,
  CraftingStateService,
  BackendService,
  TokenService,
  CredentialService,
  FederationService,
  TrustService,
  SigningService,
  AuditService,
] as const;

/** Registers every route of this service. */
export function registerRoutes(router: ConnectRouter, context: AppContext): void {
  type Handler<Request, Response> = (context: AppContext, request: Request, call: HandlerContext) => Response;
  const bind = <Request, Response>(handler: Handler<Request, Response>) => {
    return (request: Request, call: HandlerContext): Response => handler(context, request, call);
  };
  router.service(OrganizationService, {
    create: bind(createOrganization),
    get: bind(getOrganization),
    list: bind(listOrganizations),
    update: bind(updateOrganization),
  });
  router.service(WorkflowService, {
    findOrCreate: bind(findOrCreateWorkflow),
    get: bind(getWorkflow),
    list: bind(listWorkflows),
  });
  router.service(ContractService, {
    create: bind(createContract),
    get: bind(getContract),
    list: bind(listContracts),
    update: bind(updateContract),
  });
  router.service(ProjectService, { getVersion: bind(getProjectVersion), releaseVersion: bind(releaseProjectVersion) });
  router.service(RunService, {
    create: bind(createRun),
    get: bind(getRun),
    list: bind(listRuns),
    cancel: bind(cancelRun),
    getStoragePlan: bind(getStoragePlan),
    complete: bind(completeRun),
  });
  router.service(CraftingStateService, {
    get: bind(getCraftingState),
    save: bind(saveCraftingState),
    delete: bind(deleteCraftingState),
  });
  router.service(BackendService, {
    create: bind(createBackend),
    update: bind(updateBackend),
    delete: bind(deleteBackend),
    get: bind(getBackend),
    list: bind(listBackends),
    validate: bind(validateBackend),
  });
  router.service(TokenService, {
    create: bind(createToken),
    list: bind(listTokens),
    revoke: bind(revokeToken),
    listRevoked: bind(listRevokedTokens),
    recordUses: bind(recordTokenUses),
  });
  // Anybody may exchange: what one such call can hold of the memory that all share is little.
  router.service(
    FederationService,
    {
      create: bind(createFederationRule),
      list: bind(listFederationRules),
      delete: bind(deleteFederationRule),
      exchange: bind(exchangeToken),
    },
    { readMaxBytes: 128 * 1024 },
  );
  router.service(CredentialService, { issueCasToken: bind(issueCasToken) });
  router.service(TrustService, { get: bind(getTrust), set: bind(setTrust) });
  // A signing request has 16 KiB at most.
  router.service(
    SigningService,
    { issueCertificate: bind(issueCertificate), getAuthority: bind(getSigningAuthority) },
    { readMaxBytes: 64 * 1024 },
  );
  router.service(AuditService, { list: bind(listAuditEvents), record: bind(recordAuditEvents) });
}
