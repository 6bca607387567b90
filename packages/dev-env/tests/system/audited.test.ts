import { AuditService } from "@attestry/api/audit";
import { AuditService as IngestAuditService, UploadState } from "@attestry/api/ingest";
import { BackendProvider, Role } from "@attestry/api/run";
import { methodName } from "@attestry/service-kit";
import type { JsonValue } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { keyAndRequest, p256 } from "../../../service-kit/tests/signing-requests.ts";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { clientsOf, eventually, startRun, uploadIn } from "./clients.ts";
import { digestOf, uniqueBundle } from "./fixtures.ts";
import { publicKey } from "./named-resources.ts";
import { outcomeOf, type Served, servedMethod, servedMethods } from "./reflected.ts";
import { Databases } from "./refusals.ts";

/** Each method that changes something leaves an event of who did what, or stands among the exceptions. */

const run = "attestry.run.v1";
const ingest = "attestry.ingest.v1";
const reapi = "build.bazel.remote.execution.v2";

/** With the reason. */
const exceptions: Record<string, string> = {
  [`${run}.WorkflowService/FindOrCreate`]: "traffic of each run; the row has its time",
  [`${run}.RunService/Create`]: "traffic of each run; the row has its time and token",
  [`${run}.RunService/Complete`]: "traffic of each run; the row has its time and digest",
  [`${run}.CraftingStateService/Save`]: "traffic of each run; gone when it ends",
  [`${run}.CraftingStateService/Delete`]: "traffic of each run",
  [`${run}.BackendService/Validate`]: "changes only what is known of a backend's health",
  [`${run}.TokenService/RecordUses`]: "is itself the record of uses",
  [`${run}.CredentialService/IssueCasToken`]: "traffic of each upload and download; lives 5 min",
  [`${run}.FederationService/Exchange`]: "audited; tried with an issuer in workflow-run's tests",
  "attestry.audit.v1.AuditService/Record": "is itself the record",
  [`${ingest}.AttestationService/Store`]:
    "traffic of each run; the attestation is never changed, and has its time and token",
  "google.bytestream.ByteStream/Write": "traffic of materials; the gateway keeps nothing of its own",
  "google.bytestream.ByteStream/Read": "reads",
  "google.bytestream.ByteStream/QueryWriteStatus": "reads",
  [`${reapi}.ContentAddressableStorage/FindMissingBlobs`]: "reads",
  [`${reapi}.ContentAddressableStorage/BatchReadBlobs`]: "reads",
  [`${reapi}.ContentAddressableStorage/BatchUpdateBlobs`]: "traffic of materials",
  [`${reapi}.Capabilities/GetCapabilities`]: "reads",
  "attestry.cas.v1.BlobService/Delete": "attestation-ingest's, which tells of it as blob.delete",
  "attestry.cas.v1.BlobService/ValidateBackend": "changes nothing",
};

interface Facts {
  runId: string;
  digest: string;
  backendId: string;
  otherId: string;
  /** PKCS #10 in PEM. */
  signingRequest: string;
}

/** In this order. `action`: of the event, in the log of the service that was called. */
const changes: { method: string; action: string; request: (facts: Facts) => JsonValue; ofOther?: true }[] = [
  {
    method: `${run}.OrganizationService/Create`,
    action: "organization.create",
    request: () => ({ name: "new" }),
    ofOther: true,
  },
  {
    method: `${run}.OrganizationService/Update`,
    action: "organization.update",
    request: () => ({ storageMode: "STORAGE_MODE_SPOOL" }),
  },
  {
    method: `${run}.TokenService/Create`,
    action: "token.create",
    request: () => ({ name: "made", role: "ROLE_CI", lifetimeSeconds: "60" }),
  },
  { method: `${run}.TokenService/Revoke`, action: "token.revoke", request: () => ({ token: "made" }) },
  {
    method: `${run}.BackendService/Create`,
    action: "backend.create",
    request: () => ({
      name: "made",
      provider: "BACKEND_PROVIDER_FILESYSTEM",
      secretRef: "_shared/local",
      prefix: "made",
    }),
  },
  {
    method: `${run}.BackendService/Update`,
    action: "backend.update",
    request: () => ({ name: "made", maxBytes: "4096" }),
  },
  { method: `${run}.BackendService/Delete`, action: "backend.delete", request: () => ({ name: "made" }) },
  {
    method: `${run}.FederationService/Create`,
    action: "federation.create",
    request: () => ({
      rule: {
        ...{ name: "made", issuer: "https://id.example.test", audience: "attestry", role: "ROLE_CI" },
        conditions: [{ claim: "repository", pattern: "acme/app" }],
      },
    }),
  },
  { method: `${run}.FederationService/Delete`, action: "federation.delete", request: () => ({ name: "made" }) },
  {
    method: `${run}.TrustService/Set`,
    action: "trust.set",
    request: () => ({ policy: { publicKeys: [publicKey()] } }),
  },
  { method: `${run}.ContractService/Create`, action: "contract.create", request: () => ({ name: "made" }) },
  {
    method: `${run}.ContractService/Update`,
    action: "contract.update",
    request: () => ({ name: "made", description: "another" }),
  },
  {
    method: `${run}.ProjectService/ReleaseVersion`,
    action: "project.release",
    request: () => ({ project: "versioned", version: "1" }),
  },
  {
    method: `${run}.RunService/Cancel`,
    action: "run.cancel",
    request: ({ runId }) => ({ runId, trigger: "CANCEL_TRIGGER_FAILURE", reason: "why" }),
  },
  {
    method: `${run}.SigningService/IssueCertificate`,
    action: "certificate.issue",
    request: ({ signingRequest }) => ({ signingRequest: Buffer.from(signingRequest).toString("base64") }),
  },
  { method: `${ingest}.UploadService/Retry`, action: "upload.retry", request: ({ digest }) => ({ digest }) },
  {
    method: `${ingest}.MigrationService/Queue`,
    action: "migration.queue",
    request: ({ backendId, otherId }) => ({ fromBackendId: backendId, toBackendId: otherId }),
  },
  { method: `${ingest}.GcService/Collect`, action: "blob.delete", request: () => ({}) },
];

let attestry: Constellation;
let databases: Databases;
let facts: Facts;
let served: Served;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "processes", backend: "filesystem" });
  databases = new Databases(attestry);
  served = await servedMethods(attestry);
  facts = await prepare();
}, 120_000);
afterAll(async () => {
  await databases?.end();
  await attestry?.stop();
});

/** A run to cancel, an upload that was given up, a backend to migrate to, and an intent for gc. */
async function prepare(): Promise<Facts> {
  const admin = clientsOf(attestry, attestry.adminToken);
  const bundle = uniqueBundle();
  await admin.attestations.store({ runId: await startRun(admin), bundle });
  await eventually(
    () => uploadIn(admin, UploadState.CONFIRMED),
    (upload) => upload !== undefined,
  );
  await databases.ingest.query("update upload set state = 'given_up', confirmed_at = null");
  const local = await admin.backends.get({ name: "local" });
  const other = await admin.backends.create({
    ...{ name: "other", provider: BackendProvider.FILESYSTEM, secretRef: "_shared/local", prefix: "other" },
  });
  await admin.runs.create({ project: "versioned", workflow: "w", projectVersion: { version: "1" } });
  const backendId = local.backend?.id ?? "";
  await databases.ingest.query(
    "insert into intent (organization_id, backend_id, digest, touched) values ($1, $2, $3, now() - interval '2 days')",
    [attestry.organizationId, backendId, Buffer.alloc(32, 7)],
  );
  const { request: signingRequest } = await keyAndRequest(p256);
  return {
    ...{ runId: await startRun(admin), digest: digestOf(bundle), backendId, otherId: other.backend?.id ?? "" },
    signingRequest,
  };
}

test("each method that changes something is audited, or an exception with a reason", () => {
  const { NO_SIDE_EFFECTS } = MethodOptions_IdempotencyLevel;
  const mutating = [...served.values()]
    .map(({ method }) => method)
    .filter((method) => method.idempotency !== NO_SIDE_EFFECTS && !method.parent.typeName.startsWith("grpc."));
  const listed = [...changes.map(({ method }) => method), ...Object.keys(exceptions)];
  expect(mutating.map(methodName).sort()).toEqual(listed.sort());
});

test.each(changes.map((change) => [change.method, change] as const))(
  "%s",
  async (name, { action, request, ofOther }) => {
    const found = servedMethod(served, name);
    const isIngest = name.startsWith(ingest);
    const before = ofOther ? [] : await eventsOf(found.transport, isIngest);
    const outcome = await outcomeOf(found.transport, found.method, attestry.adminToken, request(facts));
    expect(outcome.code).toBe("OK");
    const events = await eventsOf(found.transport, isIngest, ofOther ? await adminOf("new") : undefined);
    const event = events.find((one) => one.action === action && !before.some(({ number }) => number === one.number));
    // ingest knows a token by its id alone.
    expect(event?.actor).toMatch(isIngest ? /^token [0-9a-f-]{36}$/ : /^token admin \([0-9a-f-]{36}\)$/);
    expect(event?.resource).toMatch(/^[a-z ]+ (sha256:)?[0-9a-f-]+$/);
  },
);

test("no change adds an event a second time, and none can be taken back", async () => {
  const admin = clientsOf(attestry, attestry.adminToken);
  await admin.tokens.revoke({ token: "made" });
  await admin.runs.cancel({ runId: facts.runId, trigger: 2 });
  const { transport } = servedMethod(served, `${run}.TokenService/Revoke`);
  const events = await eventsOf(transport, false);
  expect(events.filter(({ action }) => action === "token.revoke" || action === "run.cancel")).toHaveLength(2);
  expect(JSON.stringify(events.map(({ detail }) => detail))).not.toContain("eyJ");
  for (const database of [databases.run, databases.ingest]) {
    for (const change of ["update audit_event set actor = 'x'", "delete from audit_event", "truncate audit_event"]) {
      await expect(database.query(change)).rejects.toThrow(/append-only/);
    }
  }
});

async function adminOf(organization: string): Promise<string> {
  const { secret } = await clientsOf(attestry, attestry.adminToken).tokens.create({
    ...{ name: "its-admin", role: Role.ADMIN, organization },
  });
  return secret;
}

async function eventsOf(transport: Transport, isIngest: boolean, token = attestry.adminToken) {
  const client = createClient(isIngest ? IngestAuditService : AuditService, transport);
  return (await client.list({ pageSize: 200 }, { headers: { authorization: `Bearer ${token}` } })).events;
}
