import * as api from "@attestry/api/run";
import {
  type CasRole,
  type CasSpace,
  DomainError,
  type Reason,
  type RetentionBounds,
  type Role,
} from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DurationSchema, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Backend, BackendProvider, BackendStatus } from "./backends/backend.ts";
import type { Contract, ContractFormat, ContractRevision } from "./contracts/contract.ts";
import type { FederationRule } from "./federation/rule.ts";
import type { Organization, StorageMode, VerificationMode } from "./organizations/organization.ts";
import { policyField } from "./policy-messages.ts";
import type { ProjectVersion } from "./projects/project-version.ts";
import type { Run, RunState } from "./runs/run.ts";
import type { Token } from "./tokens/token.ts";
import type { TrustRevision } from "./trust/trust-policy.ts";
import type { Workflow } from "./workflows/workflow.ts";

// The API's enums and the domain's words, each pair once.

export const storageModes = {
  database: api.StorageMode.DATABASE,
  cas: api.StorageMode.CAS,
  spool: api.StorageMode.SPOOL,
} as const satisfies Record<StorageMode, api.StorageMode>;

export const verificationModes = {
  off: api.VerificationMode.OFF,
  signature: api.VerificationMode.SIGNATURE,
  trusted: api.VerificationMode.TRUSTED,
} as const satisfies Record<VerificationMode, api.VerificationMode>;

export const providers = {
  inline: api.BackendProvider.INLINE,
  filesystem: api.BackendProvider.FILESYSTEM,
  s3: api.BackendProvider.S3,
} as const satisfies Record<BackendProvider, api.BackendProvider>;

export const roles = {
  admin: api.Role.ADMIN,
  ci: api.Role.CI,
  reader: api.Role.READER,
} as const satisfies Record<Role, api.Role>;

export const runStates = {
  initialized: api.RunState.INITIALIZED,
  success: api.RunState.SUCCESS,
  error: api.RunState.ERROR,
  cancelled: api.RunState.CANCELLED,
  expired: api.RunState.EXPIRED,
} as const satisfies Record<RunState, api.RunState>;

export const casRoles = {
  uploader: api.CasRole.UPLOADER,
  downloader: api.CasRole.DOWNLOADER,
  manager: api.CasRole.MANAGER,
} as const satisfies Record<CasRole, api.CasRole>;

export const casSpaces = {
  blobs: api.CasSpace.BLOBS,
  bundles: api.CasSpace.BUNDLES,
} as const satisfies Record<CasSpace, api.CasSpace>;

const contractFormats = {
  json: api.ContractFormat.JSON,
  yaml: api.ContractFormat.YAML,
} as const satisfies Record<ContractFormat, api.ContractFormat>;

const statuses: Record<BackendStatus, api.BackendStatus> = {
  unknown: api.BackendStatus.UNSPECIFIED,
  valid: api.BackendStatus.VALID,
  invalid: api.BackendStatus.INVALID,
};

/** The domain's word for a value of an enum. Throws the reason if the value has none, unspecified included. */
export function parseEnum<K extends string>(
  words: Record<K, number>,
  value: number,
  what: string,
  reason: Reason = "REQUEST_INVALID",
): K {
  const found = (Object.keys(words) as K[]).find((word) => words[word] === value);
  if (found !== undefined) return found;
  const expected = Object.keys(words).join(", ");
  throw new DomainError(reason, `${what} must be one of ${expected}; came ${value === 0 ? "nothing" : value}`, {
    metadata: { expected, actual: String(value) },
  });
}

/** As parseEnum; undefined for unspecified. */
export function parseOptionalEnum<K extends string>(
  words: Record<K, number>,
  value: number,
  what: string,
): K | undefined {
  return value === 0 ? undefined : parseEnum(words, value, what);
}

export function storageModeOf(mode: StorageMode | null): api.StorageMode {
  return mode === null ? api.StorageMode.UNSPECIFIED : storageModes[mode];
}

export function organizationMessage(organization: Organization): MessageInitShape<typeof api.OrganizationSchema> {
  const { id, name, createdAt, storageMode, retention, verificationMode, trustRevision } = organization;
  const { blockOnPolicyViolation } = organization;
  return {
    ...{ id, name, createdAt: timestampFromDate(createdAt), storageMode: storageModeOf(storageMode) },
    attestationRetention: retentionMessage(retention.attestations),
    materialRetention: retentionMessage(retention.materials),
    verificationMode: verificationModes[verificationMode],
    ...{ trustRevision, blockOnPolicyViolation },
  };
}

function retentionMessage(bounds: RetentionBounds): MessageInitShape<typeof api.RetentionSchema> {
  return { ...durationOf("atLeast", bounds.atLeastSeconds), ...durationOf("atMost", bounds.atMostSeconds) };
}

export function workflowMessage(workflow: Workflow): MessageInitShape<typeof api.WorkflowSchema> {
  const { id, project, name, createdAt, description, team, contract, contractRevision, runCount, lastRun } = workflow;
  return {
    ...{ id, project, name, description, team, contract, contractRevision, runCount },
    createdAt: timestampFromDate(createdAt),
    ...(lastRun && { lastRun: runMessage(lastRun) }),
  };
}

export function contractMessage(contract: Contract): MessageInitShape<typeof api.ContractSchema> {
  const { id, name, project, description, createdAt, updatedAt, latestRevision, latestRevisionAt, workflows } =
    contract;
  return {
    ...{ id, name, project, description, latestRevision, workflows },
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
    latestRevisionCreatedAt: timestampFromDate(latestRevisionAt),
  };
}

/** A contract with one of its texts. */
export function contractAnswer(found: { contract: Contract; revision: ContractRevision }): {
  contract: MessageInitShape<typeof api.ContractSchema>;
  revision: MessageInitShape<typeof api.ContractRevisionSchema>;
} {
  const { id, revision, createdAt, text, format } = found.revision;
  return {
    contract: contractMessage(found.contract),
    revision: { id, revision, createdAt: timestampFromDate(createdAt), text, format: contractFormats[format] },
  };
}

export function runMessage(run: Run): MessageInitShape<typeof api.RunSchema> {
  const { id, workflowId, project, workflow, backendId, backendName, reason, jobUrl } = run;
  const { contractRevision, runner, blockOnPolicyViolation, tokenId } = run;
  return {
    ...{ id, workflowId, project, workflow, backendId, backendName, reason, jobUrl },
    state: runStates[run.state],
    createdAt: timestampFromDate(run.createdAt),
    ...when("finishedAt", run.finishedAt),
    attestationDigest: run.attestationDigest ?? "",
    ...{ contractRevision, runner, blockOnPolicyViolation, tokenId: tokenId ?? "" },
    ...(run.projectVersion && { projectVersion: projectVersionMessage(run.projectVersion) }),
    ...policyField(run.policySummary),
  };
}

export function projectVersionMessage(version: ProjectVersion): MessageInitShape<typeof api.ProjectVersionSchema> {
  const { id, version: name, prerelease, latest, createdAt, releasedAt } = version;
  return {
    ...{ id, version: name, prerelease, latest, createdAt: timestampFromDate(createdAt) },
    ...when("releasedAt", releasedAt),
  };
}

export function backendMessage(backend: Backend): MessageInitShape<typeof api.BackendSchema> {
  const { id, name, secretRef, prefix, isDefault, validationError, validationNotes } = backend;
  return {
    ...{ id, name, secretRef, prefix, isDefault, validationError, validationNotes },
    provider: providers[backend.provider],
    maxBytes: BigInt(backend.maxBytes),
    status: statuses[backend.status],
    ...when("validatedAt", backend.validatedAt),
    createdAt: timestampFromDate(backend.createdAt),
  };
}

export function tokenMessage(token: Token): MessageInitShape<typeof api.TokenSchema> {
  const { id, name, instanceAdmin, forChainloop } = token;
  return {
    ...{ id, name, instanceAdmin, forChainloop },
    role: roles[token.role],
    createdAt: timestampFromDate(token.createdAt),
    ...when("expiresAt", token.expiresAt),
    ...when("revokedAt", token.revokedAt),
    ...when("lastUsedAt", token.lastUsedAt),
  };
}

export function trustMessage({
  policy,
  revision,
  setAt,
}: TrustRevision): MessageInitShape<typeof api.TrustServiceGetResponseSchema> {
  const { material, transparencyLogThreshold, timestampThreshold, signers } = policy;
  return {
    revision,
    setAt: timestampFromDate(setAt),
    policy: {
      trustedRoots: [...material.trustedRoots],
      certificateAuthorities: [...material.certificateAuthorities],
      publicKeys: [...material.publicKeys],
      transparencyLogThreshold,
      timestampThreshold,
      signers: [...signers],
    },
  };
}

/** A field that holds a duration; no field for 0. */
export function durationOf<K extends string>(
  key: K,
  seconds: number,
): { [P in K]?: MessageInitShape<typeof DurationSchema> } {
  return (seconds === 0 ? {} : { [key]: { seconds: BigInt(seconds) } }) as {
    [P in K]?: MessageInitShape<typeof DurationSchema>;
  };
}

export function federationRuleMessage(rule: FederationRule): MessageInitShape<typeof api.FederationRuleSchema> {
  const { id, name, issuer, audience, conditions } = rule;
  return {
    ...{ id, name, issuer, audience, conditions },
    role: roles[rule.role],
    lifetimeSeconds: BigInt(rule.lifetimeSeconds),
    createdAt: timestampFromDate(rule.createdAt),
  };
}

function when<K extends string>(key: K, date: Date | null): { [P in K]?: Timestamp } {
  return (date === null ? {} : { [key]: timestampFromDate(date) }) as { [P in K]?: Timestamp };
}
