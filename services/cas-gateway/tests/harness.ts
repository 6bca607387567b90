import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CasRole,
  CredentialService,
  type CredentialServiceIssueCasTokenRequest,
  type CredentialServiceIssueCasTokenResponseSchema,
  TokenService,
} from "@attestry/api/run";
import {
  type CasBackend,
  type CasPrincipal,
  connectErrorOf,
  createInProcessTransport,
  createLogger,
  createMetrics,
  DomainError,
  Keyring,
  type Role,
  readSettings,
  serve,
} from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createCasGateway, settings } from "../src/index.ts";

export { blobOf, chunksOf, filesBelow, randomBlob, type TestBlob } from "./blobs.ts";

export interface Organization {
  id: string;
  name: string;
}

export interface Gateway {
  url: string;
  port: number;
  /** gRPC over h2c, by connect-node. */
  transport: Transport;
  /** The same module without a network, as the standalone server has it. */
  inProcess: Transport;
  /** What workflow-run was asked for. */
  issued: CredentialServiceIssueCasTokenRequest[];
  /** Folder of the secrets. */
  secretsDir: string;
  metric(name: string): Promise<number>;
  casToken(claims?: Partial<CasPrincipal>): Promise<string>;
  apiToken(role: Role, organization?: Organization): Promise<string>;
  close(): Promise<void>;
}

export const acme: Organization = { id: "01930000-0000-7000-8000-000000000001", name: "acme" };
export const globex: Organization = { id: "01930000-0000-7000-8000-000000000002", name: "globex" };

const megabytes = 1024 * 1024;

/** A gateway on a port of its own, with one secret `_shared/store` and keys that it shares with the tests. */
export async function startGateway(
  secret: object,
  { idleTimeoutMs = 5_000, leastBytesPerSecond = 1, storeTimeoutMs = 5_000, graceMs = 10_000, chainloop = false } = {},
): Promise<Gateway> {
  const dir = await mkdtemp(join(tmpdir(), "attestry-gateway-"));
  const secretsDir = join(dir, "secrets");
  await mkdir(join(secretsDir, "_shared"), { recursive: true });
  await writeFile(join(secretsDir, "_shared", "store.json"), JSON.stringify(secret));
  const backend = backendOf(secret);

  const keyrings = await Keyring.generate();
  const runKeyring = keyrings["workflow-run"];
  const issued: CredentialServiceIssueCasTokenRequest[] = [];
  const run = createRouterTransport((router) => {
    router.service(TokenService, { listRevoked: () => ({ tokenIds: [], nextCursor: 1n, more: false }) });
    router.service(CredentialService, {
      issueCasToken: async (
        request,
      ): Promise<MessageInitShape<typeof CredentialServiceIssueCasTokenResponseSchema>> => {
        issued.push(request);
        if (request.purpose.case !== "service") throw new Error("the gateway asks as a service");
        const { organizationId, backendName, role } = request.purpose.value;
        if (backendName !== "" && backendName !== backend.name)
          throw connectErrorOf(new DomainError("BACKEND_NOT_FOUND", "no such backend"));
        const organization = organizationId === acme.id ? acme.name : globex.name;
        const { token } = await runKeyring.issueCasToken({
          ...{ organizationId, organization, space: "blobs", backends: [backend], maxBytes: 64 * megabytes },
          role: role === CasRole.UPLOADER ? "uploader" : "downloader",
        });
        return { token, backendNames: [backend.name] };
      },
    });
  });

  const metrics = createMetrics();
  const logger = createLogger({ name: "cas-gateway", level: "silent" });
  // Nothing is stored but by the tests.
  const env = { CAS_GATEWAY_ROLE: "api", CAS_SECRETS_DIR: secretsDir, CHAINLOOP_COMPAT: String(chainloop) };
  const keyFiles = { ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-" };
  const config = {
    ...readSettings(settings, { ...env, ...keyFiles }),
    idleTimeoutMs,
    leastBytesPerSecond,
    storeTimeoutMs,
  };
  const module = await createCasGateway(config, { keyring: keyrings["cas-gateway"], logger, run, metrics });
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await serve({ modules: [module], listen, logger, metrics, graceMs });
  await module.start();
  return {
    url: server.url,
    port: server.port,
    transport: createGrpcTransport({ baseUrl: server.url }),
    inProcess: createInProcessTransport(() => module, { keyring: keyrings["attestation-ingest"], to: "cas-gateway" }),
    issued,
    secretsDir,
    metric: async (name) => {
      const values = (await metrics.getSingleMetric(name)?.get())?.values ?? [];
      return values.reduce((sum, { value }) => sum + value, 0);
    },
    casToken: async (claims = {}) => {
      const { token } = await runKeyring.issueCasToken({
        ...{
          organizationId: acme.id,
          organization: acme.name,
          role: "uploader",
          space: "blobs",
          backends: [backend],
          maxBytes: 1024 * megabytes,
        },
        ...claims,
      });
      return token;
    },
    apiToken: (role, organization = acme) =>
      runKeyring.issueApiToken({
        ...{ tokenId: organization.id, organizationId: organization.id, organization: organization.name },
        ...{ role, instanceAdmin: false },
      }),
    close: async () => {
      await server.close();
      await module.destroy();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export function backendOf(secret: object): CasBackend {
  const provider = "provider" in secret && secret.provider === "s3" ? "s3" : "filesystem";
  return {
    id: "01930000-0000-7000-8000-0000000000b1",
    name: "store",
    provider,
    secretRef: "_shared/store",
    prefix: "",
  };
}
