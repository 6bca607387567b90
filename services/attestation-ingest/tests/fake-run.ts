import { randomUUID } from "node:crypto";
import {
  BackendProvider,
  CasRole,
  CredentialService,
  type CredentialServiceIssueCasTokenRequest,
  OrganizationService,
  type OrganizationServiceGetRequest,
  type OrganizationServiceListRequest,
  type PolicySummary,
  RunService,
  type RunServiceCompleteRequest,
  type RunServiceGetStoragePlanRequest,
  StorageMode,
  TokenService,
  type TrustPolicySchema,
  TrustService,
  type TrustServiceGetRequest,
  VerificationMode,
} from "@attestry/api/run";
import {
  type CasPrincipal,
  createAuthenticator,
  DomainError,
  type Keyring,
  methodName,
  type Reason,
  type ServiceModule,
  uuidv7,
} from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";

type State = "initialized" | "success" | "error" | "cancelled" | "expired";

interface FakeBackend {
  id: string;
  name: string;
  provider: BackendProvider;
}

interface FakeRunRow {
  organizationId: string;
  state: State;
  digest: string;
  /** Of the last Complete. */
  policySummary?: PolicySummary;
}

const refusals: Partial<Record<State, Reason>> = {
  cancelled: "RUN_CANCELLED",
  error: "RUN_FAILED",
  expired: "RUN_EXPIRED",
};

const roleNames: Record<number, CasPrincipal["role"]> = {
  [CasRole.UPLOADER]: "uploader",
  [CasRole.DOWNLOADER]: "downloader",
  [CasRole.MANAGER]: "manager",
};

/** A workflow-run in memory, whose rules are those of the protos and whose faults the tests make. */
export class FakeRun {
  readonly runs = new Map<string, FakeRunRow>();
  readonly workflowId = randomUUID();
  backend: FakeBackend = { id: randomUUID(), name: "inline", provider: BackendProvider.INLINE };
  storageMode: StorageMode = StorageMode.UNSPECIFIED;
  verificationMode: VerificationMode = VerificationMode.SIGNATURE;
  /** By organization, its trust policies in order of revision, the last one in force. */
  readonly trust = new Map<string, MessageInitShape<typeof TrustPolicySchema>[]>();
  /** By organization, in seconds; 0: no bound. Those that are not here are not listed. */
  readonly retention = new Map<string, { atLeast: number; atMost: number }>();
  readonly calls = { plan: 0, complete: 0, token: 0, organizations: 0, policy: 0, trust: 0 };
  /** Called before each call is answered; what they throw is the answer. */
  beforePlan: (request: RunServiceGetStoragePlanRequest) => void | Promise<void> = () => undefined;
  beforeOrganizations: () => void | Promise<void> = () => undefined;
  beforePolicy: (organizationId: string) => void | Promise<void> = () => undefined;
  beforeTrust: (request: TrustServiceGetRequest) => void | Promise<void> = () => undefined;
  beforeComplete: (request: RunServiceCompleteRequest) => void | Promise<void> = () => undefined;
  beforeToken: (request: CredentialServiceIssueCasTokenRequest) => void | Promise<void> = () => undefined;
  readonly #keyring: Keyring;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** A new run of the organization. */
  begin(organizationId: string, state: State = "initialized"): string {
    const id = uuidv7();
    this.runs.set(id, { organizationId, state, digest: "" });
    return id;
  }

  set(runId: string, state: State): void {
    const run = this.runs.get(runId);
    if (run !== undefined) run.state = state;
  }

  /** The default backend of new runs becomes an external one. */
  useExternal(): string {
    this.backend = { id: randomUUID(), name: "store", provider: BackendProvider.FILESYSTEM };
    return this.backend.id;
  }

  module(): ServiceModule {
    const services = [RunService, CredentialService, TokenService, OrganizationService, TrustService];
    const peers = { services: ["attestation-ingest", "cas-gateway"] } as const;
    return {
      name: "workflow-run",
      services,
      access: Object.fromEntries(services.flatMap((s) => s.methods.map((method) => [methodName(method), peers]))),
      authenticator: createAuthenticator({ keyring: this.#keyring }),
      routes: (router) => {
        router.rpc(RunService.method.getStoragePlan, (request) => this.#plan(request));
        router.rpc(RunService.method.complete, (request) => this.#complete(request));
        router.rpc(CredentialService.method.issueCasToken, (request) => this.#issue(request));
        router.rpc(OrganizationService.method.list, (request) => this.#organizations(request));
        router.rpc(OrganizationService.method.get, (request) => this.#organization(request));
        router.rpc(TrustService.method.get, (request) => this.#trust(request));
        router.rpc(TokenService.method.listRevoked, () => ({ tokenIds: [], nextCursor: 1n, more: false }));
      },
      ready: async () => undefined,
      start: async () => undefined,
      destroy: async () => undefined,
    };
  }

  async #plan(request: RunServiceGetStoragePlanRequest) {
    this.calls.plan++;
    await this.beforePlan(request);
    const run = this.#find(request);
    this.#refuse(run, request.digest);
    return {
      backendId: this.backend.id,
      backendName: this.backend.name,
      backendProvider: this.backend.provider,
      casToken:
        this.backend.provider === BackendProvider.INLINE
          ? ""
          : await this.#casToken(request.organizationId, "uploader", Number(request.sizeBytes)),
      storageMode: this.storageMode,
      verificationMode: this.verificationMode,
      trustRevision: this.trust.get(request.organizationId)?.length ?? 0,
      planGivenAt: timestampFromDate(new Date()),
      workflowId: this.workflowId,
      project: "shop",
      workflow: "release",
      ...this.#promise(request.organizationId),
    };
  }

  async #trust(request: TrustServiceGetRequest) {
    this.calls.trust++;
    await this.beforeTrust(request);
    const { organizationId, revision } = request;
    const policy = this.trust.get(organizationId)?.[revision - 1];
    if (policy === undefined) throw new DomainError("TRUST_NOT_FOUND", `no revision ${revision}`);
    return { policy, revision };
  }

  #promise(organizationId: string) {
    const atLeast = this.retention.get(organizationId)?.atLeast ?? 0;
    return atLeast > 0 ? { keepAtLeast: durationFromMs(atLeast * 1_000) } : {};
  }

  /** One a page, which is named by its place. */
  async #organizations({ pageToken }: OrganizationServiceListRequest) {
    this.calls.organizations++;
    await this.beforeOrganizations();
    const all = [...this.retention.keys()].map((id) => ({ id }));
    const place = Number(pageToken);
    return {
      organizations: all.slice(place, place + 1),
      nextPageToken: place + 1 < all.length ? String(place + 1) : "",
    };
  }

  async #organization({ id }: OrganizationServiceGetRequest) {
    this.calls.policy++;
    await this.beforePolicy(id);
    const bounds = this.retention.get(id);
    if (bounds === undefined) throw new DomainError("ORGANIZATION_NOT_FOUND", `no organization ${id}`);
    const [atLeast, atMost] = [bounds.atLeast, bounds.atMost].map((seconds) => durationFromMs(seconds * 1_000));
    return { organization: { id, attestationRetention: { atLeast, atMost } } };
  }

  async #complete(request: RunServiceCompleteRequest) {
    this.calls.complete++;
    await this.beforeComplete(request);
    const run = this.#find(request);
    // Here every plan was given in time.
    if (run.state !== "expired") this.#refuse(run, request.digest);
    run.state = "success";
    run.digest = request.digest;
    if (request.policySummary !== undefined) run.policySummary = request.policySummary;
    return {};
  }

  async #issue(request: CredentialServiceIssueCasTokenRequest) {
    this.calls.token++;
    await this.beforeToken(request);
    if (request.purpose.case !== "service") throw new Error("ingest asks as a service");
    if (this.backend.provider === BackendProvider.INLINE)
      throw new DomainError("BACKEND_INLINE", "no external backend");
    const { organizationId, backendId, role, maxBytes } = request.purpose.value;
    const name = roleNames[role] ?? "downloader";
    return {
      token: await this.#casToken(organizationId, name, Number(maxBytes), backendId),
      backendNames: [this.backend.name],
    };
  }

  #find({ organizationId, runId }: { organizationId: string; runId: string }): FakeRunRow {
    const run = this.runs.get(runId);
    if (run?.organizationId === organizationId) return run;
    throw new DomainError("RUN_NOT_FOUND", `no run ${runId}`);
  }

  #refuse({ state, digest }: FakeRunRow, wanted: string): void {
    const reason = refusals[state];
    if (reason !== undefined) throw new DomainError(reason, `the run is ${state}`);
    if (state === "success" && digest !== wanted)
      throw new DomainError("RUN_HAS_OTHER_ATTESTATION", `it has ${digest}`);
  }

  async #casToken(
    organizationId: string,
    role: CasPrincipal["role"],
    maxBytes: number,
    backendId = "",
  ): Promise<string> {
    const { name } = this.backend;
    const id = backendId || this.backend.id;
    const { token } = await this.#keyring.issueCasToken({
      organizationId,
      organization: "acme",
      role,
      space: "bundles",
      backends: [{ id, name, provider: "filesystem", secretRef: "_shared/store", prefix: "" }],
      maxBytes,
    });
    return token;
  }
}
