import type { AccessTable } from "@attestry/service-kit";

const organizations = "attestry.run.v1.OrganizationService";
const workflows = "attestry.run.v1.WorkflowService";
const contracts = "attestry.run.v1.ContractService";
const projects = "attestry.run.v1.ProjectService";
const runs = "attestry.run.v1.RunService";
const states = "attestry.run.v1.CraftingStateService";
const backends = "attestry.run.v1.BackendService";
const tokens = "attestry.run.v1.TokenService";
const federation = "attestry.run.v1.FederationService";
const trust = "attestry.run.v1.TrustService";
const audit = "attestry.audit.v1.AuditService";
const credentials = "attestry.run.v1.CredentialService";
const signing = "attestry.run.v1.SigningService";

/** Who may call what. Where two kinds of callers may, the route tells them apart. */
export const access: AccessTable = {
  [`${organizations}/Create`]: { instanceAdmin: true },
  [`${organizations}/Get`]: { api: "reader", instanceAdmin: true, services: ["attestation-ingest"] },
  [`${organizations}/List`]: { api: "reader", instanceAdmin: true, services: ["attestation-ingest", "cas-gateway"] },
  [`${organizations}/Update`]: { api: "admin", instanceAdmin: true },

  [`${workflows}/FindOrCreate`]: { api: "ci" },
  [`${workflows}/Get`]: { api: "reader" },
  [`${workflows}/List`]: { api: "reader" },

  // CI jobs bring their contract along: whoever may attest may also say what is to be attested.
  [`${contracts}/Create`]: { api: "ci" },
  [`${contracts}/Get`]: { api: "reader" },
  [`${contracts}/List`]: { api: "reader" },
  [`${contracts}/Update`]: { api: "ci" },

  [`${projects}/GetVersion`]: { api: "reader" },
  [`${projects}/ReleaseVersion`]: { api: "ci" },

  [`${runs}/Create`]: { api: "ci" },
  [`${runs}/Get`]: { api: "reader" },
  [`${runs}/List`]: { api: "reader" },
  [`${runs}/Cancel`]: { api: "ci" },
  [`${runs}/GetStoragePlan`]: { services: ["attestation-ingest"] },
  [`${runs}/Complete`]: { services: ["attestation-ingest"] },

  [`${states}/Get`]: { api: "ci" },
  [`${states}/Save`]: { api: "ci" },
  [`${states}/Delete`]: { api: "ci" },

  [`${backends}/Create`]: { api: "admin" },
  [`${backends}/Update`]: { api: "admin" },
  [`${backends}/Delete`]: { api: "admin" },
  [`${backends}/Get`]: { api: "reader" },
  [`${backends}/List`]: { api: "reader" },
  [`${backends}/Validate`]: { api: "admin" },

  [`${tokens}/Create`]: { api: "admin", instanceAdmin: true },
  [`${tokens}/List`]: { api: "admin" },
  [`${tokens}/Revoke`]: { api: "admin" },
  [`${tokens}/ListRevoked`]: { services: ["attestation-ingest", "cas-gateway"] },
  [`${tokens}/RecordUses`]: { services: ["attestation-ingest", "cas-gateway"] },

  [`${federation}/Create`]: { api: "admin" },
  [`${federation}/List`]: { api: "admin" },
  [`${federation}/Delete`]: { api: "admin" },
  [`${federation}/Exchange`]: { public: true },

  [`${trust}/Get`]: { api: "reader", instanceAdmin: true, services: ["attestation-ingest"] },
  [`${trust}/Set`]: { api: "admin", instanceAdmin: true },

  [`${signing}/IssueCertificate`]: { api: "ci" },
  [`${signing}/GetAuthority`]: { api: "reader" },

  [`${audit}/List`]: { api: "admin" },
  [`${audit}/Record`]: { services: ["cas-gateway"] },

  [`${credentials}/IssueCasToken`]: { api: "reader", services: ["attestation-ingest", "cas-gateway"] },
};
