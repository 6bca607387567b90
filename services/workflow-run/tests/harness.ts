import { AuditService } from "@attestry/api/audit";
import { BlobService } from "@attestry/api/cas";
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
import { createTestDatabase } from "@attestry/dev-env";
import {
  createLogger,
  createMetrics,
  DomainError,
  Keyring,
  type Logger,
  readSettings,
  serve,
} from "@attestry/service-kit";
import { createClient, createRouterTransport, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { bootstrap, type Config, createWorkflowRun, migrateDatabase, settings } from "../src/index.ts";

/** A gateway as far as workflow-run sees one. */
export interface FakeGateway {
  transport: Transport;
  /** What the next validations find; undefined: the gateway is away. */
  result: { valid: boolean; error: string; notes?: string[] } | undefined;
  /** Tokens that it was shown. */
  tokens: string[];
  delayMs: number;
}

function createFakeGateway(): FakeGateway {
  const gateway: FakeGateway = {
    result: { valid: true, error: "" },
    tokens: [],
    delayMs: 0,
    transport: undefined as never,
  };
  gateway.transport = createRouterTransport(({ service }) => {
    service(BlobService, {
      async validateBackend(_request, context) {
        gateway.tokens.push((context.requestHeader.get("authorization") ?? "").slice("Bearer ".length));
        await new Promise((resolve) => setTimeout(resolve, gateway.delayMs));
        if (gateway.result === undefined) throw new DomainError("PEER_UNAVAILABLE", "away");
        return gateway.result;
      },
    });
  });
  return gateway;
}

/** A running workflow-run with a database of its own. */
export type Harness = Awaited<ReturnType<typeof startHarness>>;

export async function startHarness(
  overrides: Partial<Config> = {},
  logger: Logger = createLogger({ name: "workflow-run", level: "silent" }),
) {
  const database = await createTestDatabase();
  const keyrings = await Keyring.generate();
  const keyring = keyrings["workflow-run"];
  const env = { WORKFLOW_RUN_DATABASE_URL: database.url, ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-" };
  const config: Config = { ...readSettings(settings, env), ...overrides };
  await migrateDatabase(config, logger);
  const gateway = createFakeGateway();
  const create = () => createWorkflowRun(config, { keyring, logger, metrics: createMetrics(), cas: gateway.transport });
  const module = await create();
  const server = await serve({
    modules: [module],
    listen: { host: "127.0.0.1", port: 0 },
    logger,
    metrics: createMetrics(),
  });
  await module.start();
  const { adminToken = "" } = await bootstrap(module.context, { organization: "default" });

  const sessionManager = new Http2SessionManager(server.url);
  const as = (token: string) =>
    clientsOf(
      createConnectTransport({ baseUrl: server.url, httpVersion: "2", sessionManager, interceptors: [bearer(token)] }),
    );
  const admin = as(adminToken);
  const harness = {
    ...{
      config,
      context: module.context,
      pool: module.context.database.pool,
      gateway,
      keyring,
      keyrings,
      url: server.url,
    },
    ...{ admin, adminToken, as, createReplica: create },
    ingest: as(await keyrings["attestation-ingest"].serviceToken("workflow-run")),
    gatewayService: as(await keyrings["cas-gateway"].serviceToken("workflow-run")),
    /** Clients of a new organization, one for each role. */
    async organization(name: string) {
      const { organization } = await admin.organizations.create({ name });
      const id = organization?.id ?? "";
      const [adminRole, ci, reader] = await Promise.all(
        ([1, 2, 3] as const).map(async (role) => {
          const { secret } = await admin.tokens.create({ name: `role-${role}`, role, organization: name });
          return as(secret);
        }),
      );
      if (!adminRole || !ci || !reader) throw new Error("three roles make three clients");
      return { id, name, admin: adminRole, ci, reader };
    },
    async stop() {
      sessionManager.abort();
      await server.close();
      await module.destroy();
      await database.drop();
    },
  };
  return harness;
}

export type Clients = ReturnType<typeof clientsOf>;

function clientsOf(transport: Transport) {
  return {
    organizations: createClient(OrganizationService, transport),
    workflows: createClient(WorkflowService, transport),
    contracts: createClient(ContractService, transport),
    projects: createClient(ProjectService, transport),
    runs: createClient(RunService, transport),
    states: createClient(CraftingStateService, transport),
    backends: createClient(BackendService, transport),
    tokens: createClient(TokenService, transport),
    credentials: createClient(CredentialService, transport),
    federation: createClient(FederationService, transport),
    trust: createClient(TrustService, transport),
    signing: createClient(SigningService, transport),
    audit: createClient(AuditService, transport),
  };
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    if (token !== "") request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
