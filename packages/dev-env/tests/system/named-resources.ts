import { generateKeyPairSync } from "node:crypto";
import type { ServiceName } from "@attestry/service-kit";
import type { JsonValue } from "@bufbuild/protobuf";

/** A resource of each kind. */
export interface Named {
  organization: string;
  organizationId: string;
  run: string;
  digest: string;
  blob: string;
  /** Base64. */
  bundle: string;
  project: string;
  workflow: string;
  contract: string;
  version: string;
  backend: string;
  backendId: string;
  token: string;
  tokenId: string;
  rule: string;
}

export interface Ask {
  method: string;
  /** Whose token: another organization's admin, unless told. */
  as?: ServiceName | "manager";
  /** Such as `NotFound RUN_NOT_FOUND`; `OK`: the answer tells of nothing. */
  told: string;
  /** `own`: what the caller has. */
  request: (named: Named, own: { organizationId: string; backendId: string }) => JsonValue;
}

/** The Digest message of a blob of 5 bytes. */
export const blobOf = (hash: string) => ({ hash, sizeBytes: "5" });
const uploadOf = (hash: string) => `uploads/0190a000-0000-4000-8000-000000000000/blobs/${hash}/5`;
const at = "2026-01-01T00:00:00Z";
const run = "attestry.run.v1";
const ingest = "attestry.ingest.v1";
const reapi = "build.bazel.remote.execution.v2.ContentAddressableStorage";

/** PEM of a key that nobody has. */
export function publicKey(): string {
  return generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
}

/** What another organization asks for, one request for each way to name a resource. */
export const asks: Ask[] = [
  {
    method: `${run}.OrganizationService/Get`,
    told: "NotFound ORGANIZATION_NOT_FOUND",
    request: ({ organization }) => ({ name: organization }),
  },
  {
    method: `${run}.OrganizationService/Update`,
    told: "NotFound ORGANIZATION_NOT_FOUND",
    request: ({ organization }) => ({ name: organization, storageMode: "STORAGE_MODE_CAS" }),
  },
  {
    method: `${run}.TokenService/Create`,
    told: "NotFound ORGANIZATION_NOT_FOUND",
    request: ({ organization }) => ({ name: "mine", role: "ROLE_CI", organization }),
  },
  { method: `${run}.TokenService/Revoke`, told: "NotFound TOKEN_NOT_FOUND", request: ({ token }) => ({ token }) },
  {
    method: `${run}.TokenService/Revoke`,
    told: "NotFound TOKEN_NOT_FOUND",
    request: ({ tokenId }) => ({ token: tokenId }),
  },
  {
    method: `${run}.WorkflowService/Get`,
    told: "NotFound WORKFLOW_NOT_FOUND",
    request: ({ project, workflow }) => ({ project, name: workflow }),
  },
  { method: `${run}.WorkflowService/List`, told: "OK", request: ({ project }) => ({ project }) },
  {
    method: `${run}.WorkflowService/FindOrCreate`,
    told: "NotFound CONTRACT_NOT_FOUND",
    request: ({ contract }) => ({ project: "mine", name: "mine", contract }),
  },
  {
    method: `${run}.ContractService/Get`,
    told: "NotFound CONTRACT_NOT_FOUND",
    request: ({ contract }) => ({ name: contract }),
  },
  {
    method: `${run}.ContractService/Update`,
    told: "NotFound CONTRACT_NOT_FOUND",
    request: ({ contract }) => ({ name: contract, description: "mine" }),
  },
  { method: `${run}.ContractService/List`, told: "OK", request: ({ project }) => ({ project }) },
  {
    method: `${run}.ProjectService/GetVersion`,
    told: "NotFound PROJECT_VERSION_NOT_FOUND",
    request: ({ project, version }) => ({ project, version }),
  },
  {
    method: `${run}.ProjectService/ReleaseVersion`,
    told: "NotFound PROJECT_VERSION_NOT_FOUND",
    request: ({ project, version }) => ({ project, version }),
  },
  {
    method: `${run}.RunService/Create`,
    told: "NotFound PROJECT_VERSION_NOT_FOUND",
    request: ({ project, workflow, version }) => ({ project, workflow, projectVersion: { version, mustExist: true } }),
  },
  {
    method: `${run}.RunService/List`,
    told: "OK",
    request: ({ project, version }) => ({ project, projectVersion: version }),
  },
  { method: `${run}.RunService/Get`, told: "NotFound RUN_NOT_FOUND", request: (named) => ({ runId: named.run }) },
  { method: `${run}.RunService/Get`, told: "NotFound RUN_NOT_FOUND", request: ({ digest }) => ({ digest }) },
  ...["Get", "Save", "Delete"].map((name) => ({
    method: `${run}.CraftingStateService/${name}`,
    told: "NotFound RUN_NOT_FOUND",
    request: ({ run: runId }: Named) => ({ runId }),
  })),
  { method: `${run}.RunService/List`, told: "OK", request: ({ project, workflow }) => ({ project, workflow }) },
  {
    method: `${run}.RunService/Cancel`,
    told: "NotFound RUN_NOT_FOUND",
    request: (named) => ({ runId: named.run, trigger: "CANCEL_TRIGGER_FAILURE" }),
  },
  {
    method: `${run}.RunService/GetStoragePlan`,
    as: "attestation-ingest",
    told: "NotFound RUN_NOT_FOUND",
    request: (named, own) => ({
      organizationId: own.organizationId,
      runId: named.run,
      digest: named.digest,
      sizeBytes: "9",
    }),
  },
  {
    method: `${run}.RunService/Complete`,
    as: "attestation-ingest",
    told: "NotFound RUN_NOT_FOUND",
    request: (named, own) => ({
      organizationId: own.organizationId,
      runId: named.run,
      digest: named.digest,
      planGivenAt: at,
    }),
  },
  {
    method: `${run}.BackendService/Get`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backend }) => ({ name: backend }),
  },
  {
    method: `${run}.BackendService/Update`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backend }) => ({ name: backend, maxBytes: "7" }),
  },
  {
    method: `${run}.BackendService/Delete`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backend }) => ({ name: backend }),
  },
  {
    method: `${run}.BackendService/Validate`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backend }) => ({ name: backend }),
  },
  {
    method: `${run}.FederationService/Delete`,
    told: "NotFound FEDERATION_RULE_NOT_FOUND",
    request: ({ rule }) => ({ name: rule }),
  },
  {
    method: `${run}.FederationService/Exchange`,
    told: "PermissionDenied FEDERATION_REFUSED",
    request: ({ organization }) => ({ organization, idToken: "e30.e30.e30" }),
  },
  {
    method: `${run}.TrustService/Get`,
    told: "NotFound ORGANIZATION_NOT_FOUND",
    request: ({ organization }) => ({ organization }),
  },
  {
    method: `${run}.TrustService/Get`,
    as: "attestation-ingest",
    told: "NotFound TRUST_NOT_FOUND",
    request: ({ organizationId }) => ({ organizationId }),
  },
  {
    method: `${run}.TrustService/Set`,
    told: "NotFound ORGANIZATION_NOT_FOUND",
    request: ({ organization }) => ({ organization, policy: { publicKeys: [publicKey()] } }),
  },
  {
    method: `${run}.CredentialService/IssueCasToken`,
    told: "NotFound RUN_NOT_FOUND",
    request: (named) => ({ uploadForRun: { runId: named.run } }),
  },
  {
    method: `${run}.CredentialService/IssueCasToken`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backend }) => ({ upload: { backend } }),
  },
  ...(["attestation-ingest", "cas-gateway"] as const).flatMap((as): Ask[] => [
    {
      method: `${run}.CredentialService/IssueCasToken`,
      as,
      told: "NotFound BACKEND_NOT_FOUND",
      request: ({ backendId }, own) => ({
        service: {
          organizationId: own.organizationId,
          backendId,
          role: "CAS_ROLE_UPLOADER",
          space: "CAS_SPACE_BUNDLES",
        },
      }),
    },
    {
      method: `${run}.CredentialService/IssueCasToken`,
      as,
      told: "NotFound BACKEND_NOT_FOUND",
      request: ({ backend }, own) => ({
        service: {
          organizationId: own.organizationId,
          backendName: backend,
          role: "CAS_ROLE_MANAGER",
          space: "CAS_SPACE_BLOBS",
        },
      }),
    },
  ]),
  {
    method: `${ingest}.AttestationService/Store`,
    told: "NotFound RUN_NOT_FOUND",
    request: (named) => ({ runId: named.run, bundle: named.bundle }),
  },
  {
    method: `${ingest}.AttestationService/Get`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: (named) => ({ runId: named.run }),
  },
  {
    method: `${ingest}.AttestationService/Get`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: ({ digest }) => ({ digest }),
  },
  {
    method: `${ingest}.AttestationService/Download`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: (named) => ({ runId: named.run }),
  },
  {
    method: `${ingest}.AttestationService/Download`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: ({ digest }) => ({ digest }),
  },
  {
    method: `${ingest}.AttestationService/List`,
    told: "OK",
    request: ({ project, workflow }) => ({ project, workflow }),
  },
  {
    method: `${ingest}.UploadService/Retry`,
    told: "NotFound ATTESTATION_NOT_FOUND",
    request: ({ digest }) => ({ digest }),
  },
  {
    method: `${ingest}.MigrationService/Queue`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backendId }, own) => ({ fromBackendId: own.backendId, toBackendId: backendId }),
  },
  {
    method: `${ingest}.MigrationService/Queue`,
    told: "NotFound BACKEND_NOT_FOUND",
    request: ({ backendId }, own) => ({ fromBackendId: backendId, toBackendId: own.backendId }),
  },
  {
    method: `${ingest}.MigrationService/GetProgress`,
    told: "OK",
    request: ({ backendId }, own) => ({ fromBackendId: own.backendId, toBackendId: backendId }),
  },
  {
    method: `${ingest}.ReferenceService/ListBundles`,
    as: "cas-gateway",
    told: "OK",
    request: ({ backendId }, own) => ({ organizationId: own.organizationId, backendId }),
  },
  {
    method: "google.bytestream.ByteStream/Read",
    told: "NotFound BLOB_NOT_FOUND",
    request: ({ blob }) => ({ resourceName: `blobs/${blob}/5` }),
  },
  {
    method: "google.bytestream.ByteStream/Read",
    told: "NotFound BLOB_NOT_FOUND",
    request: ({ blob }) => ({ resourceName: blob }),
  },
  {
    method: "google.bytestream.ByteStream/Read",
    told: "InvalidArgument RESOURCE_NAME_INVALID",
    request: ({ backend, blob }) => ({ resourceName: `${backend}/blobs/${blob}/5` }),
  },
  {
    method: "google.bytestream.ByteStream/QueryWriteStatus",
    told: "OK",
    request: ({ blob }) => ({ resourceName: uploadOf(blob) }),
  },
  {
    method: "google.bytestream.ByteStream/Write",
    told: "InvalidArgument WRITE_UNFINISHED",
    request: ({ blob }) => ({ resourceName: uploadOf(blob), finishWrite: false }),
  },
  { method: `${reapi}/FindMissingBlobs`, told: "OK", request: ({ blob }) => ({ blobDigests: [blobOf(blob)] }) },
  { method: `${reapi}/BatchReadBlobs`, told: "OK", request: ({ blob }) => ({ digests: [blobOf(blob)] }) },
  {
    method: `${reapi}/BatchUpdateBlobs`,
    told: "InvalidArgument RESOURCE_NAME_INVALID",
    request: ({ backend, blob }) => ({ instanceName: backend, requests: [{ digest: blobOf(blob), data: "aGVsbG8=" }] }),
  },
  {
    method: "build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
    told: "InvalidArgument RESOURCE_NAME_INVALID",
    request: ({ backend }) => ({ instanceName: backend }),
  },
  {
    method: "attestry.cas.v1.BlobService/Describe",
    as: "manager",
    told: "NotFound BLOB_NOT_FOUND",
    request: ({ blob }) => ({ digest: `sha256:${blob}` }),
  },
  {
    method: "cas.v1.ResourceService/Describe",
    told: "NotFound BLOB_NOT_FOUND",
    request: ({ blob }) => ({ digest: blob }),
  },
  {
    method: "attestry.cas.v1.BlobService/Delete",
    as: "manager",
    told: "OK",
    request: ({ blob }) => ({ digest: `sha256:${blob}`, notAfter: new Date(Date.now() + 60_000).toISOString() }),
  },
  {
    method: "attestry.cas.v1.ScrubService/GetReport",
    told: "InvalidArgument RESOURCE_NAME_INVALID",
    request: ({ backend }) => ({ backendName: backend }),
  },
];

/** These name nothing that can be another's. */
export const namesNothing = [
  `${run}.OrganizationService/Create`, // an organization's name is one in the whole instance; instance admins only
  `${run}.OrganizationService/List`,
  `${run}.ContractService/Create`,
  `${run}.BackendService/Create`,
  `${run}.BackendService/List`,
  `${run}.FederationService/Create`,
  `${run}.FederationService/List`,
  `${run}.TokenService/List`,
  `${run}.TokenService/ListRevoked`, // ids of all organizations, to services only
  `${run}.TokenService/RecordUses`, // the same, and it answers nothing
  `${run}.SigningService/IssueCertificate`, // for the caller's organization, whatever the request says
  `${run}.SigningService/GetAuthority`, // one for all organizations, and no secret
  "attestry.audit.v1.AuditService/List",
  "attestry.audit.v1.AuditService/Record", // under the organization that the gateway names
  `${ingest}.UploadService/List`,
  `${ingest}.GcService/List`,
  `${ingest}.GcService/Collect`,
  `${ingest}.AuditService/List`,
  "attestry.cas.v1.BlobService/ValidateBackend",
];
