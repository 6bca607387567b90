import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { AttestationService } from "@attestry/api/ingest";
import {
  BackendProvider,
  BackendService,
  OrganizationService,
  Role,
  RunService,
  TokenService,
} from "@attestry/api/run";
import { answersOk, freePort, nodeFlags, type Spawned, spawnServer } from "@attestry/dev-env";
import { type CasBackend, Keyring, type ServiceName } from "@attestry/service-kit";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { goodBundle } from "../fixtures.ts";

const main = path.resolve(import.meta.dirname, "../../../../packages/standalone/src/main.ts");
const organization = "fuzz";
/** What the process may take in all, in bytes: of a bundle of 32 MiB there are several copies while it is read. */
export const mostBytes = 1.5 * 2 ** 30;
/** All but the first cases would be about the rate. */
const anyRate = { RATE_LIMIT_TOKEN: "0", RATE_LIMIT_ORGANIZATION: "0", RATE_LIMIT_FAILURES: "0" };
/** In no grammar: the token would be revoked by it. */
const tokenName = "of-the-fuzzer-alone";

/** A standalone server as a process of its own, and all kinds of callers of the organization that is fuzzed. */
export interface Server {
  url: string;
  tokens: Tokens;
  /** What is there, so that some cases get past "not found". */
  known: { runId: string; digest: string; backendId: string; organizationId: string };
  /** A run of the organization that has nothing stored yet. */
  startRun(): Promise<string>;
  /** Of the organization that is fuzzed. */
  attestations: Client<typeof AttestationService>;
  /** Throws unless another organization can store a bundle and read it back. */
  serves(): Promise<void>;
  /** The most memory that the process has had, in bytes; undefined where the system does not tell. */
  peakBytes(): Promise<number | undefined>;
  /** The processor time that the process has had, in milliseconds; undefined where the system does not tell. */
  busyMs(): Promise<number | undefined>;
  /** What the server logged as its own fault. */
  faults(): string[];
  stop(): Promise<void>;
}

export interface Tokens {
  instanceAdmin: string;
  admin: string;
  service: Record<ServiceName, (to: ServiceName) => Promise<string>>;
  cas: (role: "uploader" | "downloader" | "manager", space: "blobs" | "bundles") => Promise<string>;
}

export async function startServer(): Promise<Server> {
  await using started = new AsyncDisposableStack();
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "attestry-fuzz-"));
  started.defer(() => rm(dataDir, { recursive: true, force: true }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const faults: string[] = [];
  const spawned = await spawnServer({
    name: "standalone",
    command: process.execPath,
    args: [...nodeFlags, main, "--listen", `127.0.0.1:${port}`, "--data-dir", dataDir],
    env: { PATH: process.env.PATH, LOG_LEVEL: "error", ...anyRate },
    isReady: () => answersOk(`${url}/readyz`),
    readyMs: 120_000,
    onOutput: (text) =>
      faults.push(...text.split("\n").filter((line) => /"level":"fatal"|"code":"Internal"/.test(line))),
  });
  started.defer(() => spawned.stop());

  const instanceAdmin = (await readFile(path.join(dataDir, "admin-token"), "utf8")).trim();
  const asAdmin = clientsOf(url, instanceAdmin);
  const { organization: made } = await asAdmin.organizations.create({ name: organization });
  const { secret: admin } = await asAdmin.tokens.create({ name: tokenName, role: Role.ADMIN, organization });
  const clients = clientsOf(url, admin);
  const provider = BackendProvider.FILESYSTEM;
  const secretRef = "_shared/local";
  const { backend } = await clients.backends.create({ name: "local", provider, secretRef, isDefault: true });
  const { run } = await clients.runs.create({ project: "fuzz", workflow: "known" });
  const runId = run?.id ?? "";
  const { digest } = await clients.attestations.store({ runId, bundle: goodBundle });
  const known = { runId, digest, backendId: backend?.id ?? "", organizationId: made?.id ?? "" };
  const keyrings = await loadKeyrings(path.join(dataDir, "keys"));
  const local: CasBackend = { id: known.backendId, name: "local", provider: "filesystem", secretRef, prefix: "" };

  const owned = started.move();
  return {
    url,
    known,
    tokens: {
      instanceAdmin,
      admin,
      service: {
        "workflow-run": (to) => keyrings["workflow-run"].serviceToken(to),
        "attestation-ingest": (to) => keyrings["attestation-ingest"].serviceToken(to),
        "cas-gateway": (to) => keyrings["cas-gateway"].serviceToken(to),
      },
      cas: async (role, space) => {
        const { organizationId } = known;
        const claims = { organizationId, organization, role, space, backends: [local], maxBytes: 1_000_000 };
        return (await keyrings["workflow-run"].issueCasToken(claims)).token;
      },
    },
    startRun: async () => (await clients.runs.create({ project: "fuzz", workflow: "corpus" })).run?.id ?? "",
    attestations: clients.attestations,
    serves: () => storeAndRead(asAdmin),
    peakBytes: () => peakOf(spawned),
    busyMs: () => busyOf(spawned),
    faults: () => faults,
    stop: () => owned.disposeAsync(),
  };
}

function clientsOf(baseUrl: string, token: string) {
  const transport = createGrpcTransport({
    baseUrl,
    defaultTimeoutMs: 60_000,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  const at = <S extends DescService>(service: S): Client<S> => createClient(service, transport);
  return {
    organizations: at(OrganizationService),
    tokens: at(TokenService),
    backends: at(BackendService),
    runs: at(RunService),
    attestations: at(AttestationService),
  };
}

async function storeAndRead({ runs, attestations }: ReturnType<typeof clientsOf>): Promise<void> {
  const { run } = await runs.create({ project: "good", workflow: "call" });
  const { digest } = await attestations.store({ runId: run?.id ?? "", bundle: goodBundle });
  const { bundle } = await attestations.get({ by: { case: "digest", value: digest } });
  if (!goodBundle.equals(bundle)) throw new Error("a good bundle does not come back as it was stored");
}

async function loadKeyrings(dir: string): Promise<Record<ServiceName, Keyring>> {
  const load = (service: ServiceName) =>
    Keyring.load({ signingKeyFile: path.join(dir, `${service}.jwk.json`), jwksFile: path.join(dir, "jwks.json") });
  return {
    "workflow-run": await load("workflow-run"),
    "attestation-ingest": await load("attestation-ingest"),
    "cas-gateway": await load("cas-gateway"),
  };
}

/** Linux, proc(5): VmHWM, in KiB. */
async function peakOf({ pid }: Spawned): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Linux, proc(5): utime and stime, in hundredths of a second, are the 12th and 13th after the name, which may have blanks. */
async function busyOf({ pid }: Spawned): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields && (Number(fields[11]) + Number(fields[12])) * 10;
}
