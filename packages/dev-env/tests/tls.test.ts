import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { TestCertificates } from "../../service-kit/tests/certificates.ts";
import { until } from "../../service-kit/tests/raw-call.ts";
import { prepareFiles } from "../src/constellation/files.ts";
import { createTestDatabase, freePort, nodeFlags, type Spawned, spawnServer, type TestDatabase } from "../src/index.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const services = ["workflow-run", "attestation-ingest", "cas-gateway"] as const;
type Service = (typeof services)[number];

let dir: string;
let certificates: TestCertificates;
let databases: TestDatabase[];
let processes: Spawned[] = [];
let port: Record<Service, number>;
let env: (service: Service) => NodeJS.ProcessEnv;
let client: { certFile: string; keyFile: string };

/** Three processes as production starts them, each of which shows a certificate and wants one of every caller. */
beforeAll(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "attestry-mtls-"));
  certificates = await TestCertificates.create();
  client = await certificates.issueFiles("client", { names: ["client"] });
  databases = await Promise.all([createTestDatabase(), createTestDatabase()]);
  const { keys, secretsDir } = await prepareFiles(dir, undefined, "");
  port = {
    "workflow-run": await freePort(),
    "attestation-ingest": await freePort(),
    "cas-gateway": await freePort(),
  };
  const pairs = await Promise.all(services.map((service) => certificates.issueFiles(service)));
  env = (service) => {
    const { certFile, keyFile } = pairs[services.indexOf(service)] ?? client;
    return {
      ...{ PATH: process.env.PATH, ATTESTRY_SERVICE: service, SHUTDOWN_DRAIN: "0" },
      ...{ WORKFLOW_RUN_LISTEN: `127.0.0.1:${port["workflow-run"]}`, WORKFLOW_RUN_ADDR: urlOf("workflow-run") },
      ...{ ATTESTATION_INGEST_LISTEN: `127.0.0.1:${port["attestation-ingest"]}` },
      ...{ CAS_GATEWAY_LISTEN: `127.0.0.1:${port["cas-gateway"]}`, CAS_GATEWAY_ADDR: urlOf("cas-gateway") },
      ATTESTATION_INGEST_ADDR: urlOf("attestation-ingest"),
      ...{ ATTESTRY_TLS_CERT_FILE: certFile, ATTESTRY_TLS_KEY_FILE: keyFile },
      ...{ ATTESTRY_PEER_CERT_FILE: certFile, ATTESTRY_PEER_KEY_FILE: keyFile },
      ...{ ATTESTRY_TLS_CLIENT_CA_FILE: certificates.caFile, ATTESTRY_PEER_CA_FILE: certificates.caFile },
      ...{ ATTESTRY_SIGNING_KEY_FILE: keys.signingKeyFile(service), ATTESTRY_JWKS_FILE: keys.jwksFile },
      ...{ WORKFLOW_RUN_DATABASE_URL: databases[0]?.url, ATTESTATION_INGEST_DATABASE_URL: databases[1]?.url },
      ...{ CAS_SECRETS_DIR: secretsDir, WORKFLOW_RUN_BOOTSTRAP_BACKEND: "local" },
      ...{ WORKFLOW_RUN_BOOTSTRAP_PROVIDER: "filesystem", WORKFLOW_RUN_BOOTSTRAP_SECRET_REF: "_shared/local" },
    };
  };
  for (const service of ["workflow-run", "attestation-ingest"] as const)
    expect(await node(env(service), mainOf(service), "migrate")).toMatchObject({ code: 0 });
  processes = await Promise.all(
    services.map((service) =>
      spawnServer({
        name: service,
        command: process.execPath,
        args: [...nodeFlags, mainOf(service)],
        env: env(service),
        isReady: () => isReady(port[service]),
        readyMs: 60_000,
      }),
    ),
  );
}, 120_000);
afterAll(async () => {
  await Promise.all(processes.map((each) => each.stop()));
  await Promise.all(databases.map((database) => database.drop()));
  await certificates.remove();
  await rm(dir, { recursive: true, force: true });
});

function mainOf(service: Service): string {
  return path.join(root, "services", service, "src/main.ts");
}

function urlOf(service: Service): string {
  return `https://localhost:${port[service]}`;
}

function node(
  environment: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env: environment, cwd: root, timeout: 90_000 }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

async function isReady(at: number): Promise<boolean> {
  const { cert, key } = await certificates.issue();
  return new Promise((resolve) => {
    const options = {
      host: "localhost",
      port: at,
      path: "/readyz",
      ca: certificates.authority.cert,
      cert,
      key,
      agent: false,
    };
    https
      .get(options as https.RequestOptions, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      })
      .on("error", () => resolve(false));
  });
}

function attestry(token: string, shown: { certFile: string; keyFile: string } | undefined, ...args: string[]) {
  const environment = {
    ...{ PATH: process.env.PATH, ATTESTRY_DATA_DIR: dir, ATTESTRY_TOKEN: token, ATTESTRY_CA_FILE: certificates.caFile },
    ...{ ATTESTRY_ADDR: urlOf("attestation-ingest"), ATTESTRY_RUN_ADDR: urlOf("workflow-run") },
    ATTESTRY_CAS_ADDR: urlOf("cas-gateway"),
    ...(shown && { ATTESTRY_CERT_FILE: shown.certFile, ATTESTRY_KEY_FILE: shown.keyFile }),
  };
  return node(environment, path.join(root, "packages/cli/src/main.ts"), ...args);
}

test("three services over mTLS: a bundle is stored, uploaded and read back; who shows no certificate gets nowhere", async () => {
  const bootstrapped = await node(env("workflow-run"), mainOf("workflow-run"), "bootstrap");
  const token = /^ey\S+$/m.exec(bootstrapped.stdout)?.[0] ?? "";
  expect([bootstrapped.code, token]).toEqual([0, expect.stringMatching(/./)]);

  const status = await attestry(token, client, "status");
  expect([status.code, status.stderr]).toEqual([0, ""]);
  const bundle = path.join(root, "docs/sample/bundle.json");
  const stored = await attestry(token, client, "store", bundle, "--workflow", "demo/build", "-o", "json");
  expect([stored.code, stored.stderr]).toEqual([0, expect.any(String)]);
  const { digest } = JSON.parse(stored.stdout) as { digest: string };
  expect((await attestry(token, client, "get", digest, "-o", "json")).code).toBe(0);

  // From the worker to the gateway.
  await until(async () => {
    const { stdout } = await attestry(token, client, "upload", "list", "--state", "confirmed", "-o", "json");
    return (JSON.parse(stdout) as { uploads: unknown[] }).uploads.length === 1;
  }, 60_000);

  const without = await attestry(token, undefined, "run", "list");
  expect([without.code, without.stdout]).toEqual([5, ""]);
  expect(without.stderr).toMatch(/certificate required.*\nhint: .*--tls-cert and --tls-key/);
  const foreign = await TestCertificates.create("another authority");
  const stranger = await attestry(token, await foreign.issueFiles("client"), "run", "list");
  expect([stranger.code, stranger.stdout]).toEqual([5, ""]);
  await foreign.remove();
}, 180_000);

test("a container's own health check gets through", async () => {
  for (const service of services) {
    const checked = await node(env(service), path.join(root, "deploy/healthcheck.mjs"));
    expect(checked).toEqual({ code: 0, stdout: "", stderr: "" });
  }
}, 60_000);
