import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { answersOk, ensureBucket, freePort, minioClient, nodeFlags, spawnServer, startMinio } from "@attestry/dev-env";
import { type CasBackend, createKeyFiles, Keyring } from "@attestry/service-kit";
import { grpcWay, httpWay, type Way } from "./ways.ts";

export interface Place {
  /** Straight to MinIO. */
  direct: Way;
  /** Through the gateway, to MinIO and to a folder. */
  ways: Way[];
  gatewayPid: number;
  /** Of the gateway's process, to be read right after a load. */
  stop(): Promise<void>;
}

const organization = { organizationId: "01930000-0000-7000-8000-000000000001", organization: "bench" };
const bucket = "bench";

/** A MinIO and a gateway, each in a process of its own, with a folder as the gateway's other backend. */
export async function startPlace(): Promise<Place> {
  const dir = await mkdtemp(path.join(os.tmpdir(), "attestry-bench-"));
  const minio = await startMinio({ dir: path.join(dir, "minio") });
  const secret = await ensureBucket(minio, bucket);
  const secrets = path.join(dir, "secrets/_shared");
  await mkdir(secrets, { recursive: true });
  await writeFile(path.join(secrets, "minio.json"), JSON.stringify(secret));
  const folder = { provider: "filesystem", path: path.join(dir, "folder") };
  await writeFile(path.join(secrets, "folder.json"), JSON.stringify(folder));

  const keys = await createKeyFiles(path.join(dir, "keys"));
  const listen = `127.0.0.1:${await freePort()}`;
  const url = `http://${listen}`;
  const gateway = await spawnServer({
    name: "cas-gateway",
    command: process.execPath,
    args: [...nodeFlags, path.join(import.meta.dirname, "../../../services/cas-gateway/src/main.ts")],
    env: {
      ...process.env,
      LOG_LEVEL: "error",
      CAS_GATEWAY_LISTEN: listen,
      CAS_GATEWAY_ROLE: "api",
      CAS_SECRETS_DIR: path.join(dir, "secrets"),
      ATTESTRY_SIGNING_KEY_FILE: keys.signingKeyFile("cas-gateway"),
      ATTESTRY_JWKS_FILE: keys.jwksFile,
    },
    isReady: () => answersOk(`${url}/readyz`),
  });

  const issuer = await Keyring.load({ signingKeyFile: keys.signingKeyFile("workflow-run"), jwksFile: keys.jwksFile });
  const ways = await Promise.all(
    (["minio", "folder"] as const).flatMap((store) => [
      gatewayWay(issuer, store, "gRPC", url),
      gatewayWay(issuer, store, "HTTP", url),
    ]),
  );
  const client = minioClient(minio);
  const direct = httpWay("direct", (verb, { hex }) => client.presignedUrl(verb, bucket, `direct/${hex}`, 3_600));
  return {
    direct,
    ways,
    gatewayPid: gateway.pid,
    stop: async () => {
      await Promise.all([direct, ...ways].map((way) => way.close()));
      await gateway.stop();
      await minio.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** CAS tokens live 5 minutes, and are judged when a call begins. */
const renewMs = 4 * 60_000;

/** A way through the gateway whose token is made anew before it runs out. */
async function gatewayWay(
  issuer: Keyring,
  store: "minio" | "folder",
  protocol: "gRPC" | "HTTP",
  url: string,
): Promise<Way> {
  const backend: CasBackend = {
    id: "01930000-0000-7000-8000-0000000000b1",
    name: store,
    provider: store === "minio" ? "s3" : "filesystem",
    secretRef: `_shared/${store}`,
    prefix: "",
  };
  const issue = (role: "uploader" | "downloader") =>
    issuer.issueCasToken({ ...organization, role, space: "blobs", backends: [backend], maxBytes: 2 ** 40 });
  const name = `${protocol}, ${store}`;
  const open = async (role: "uploader" | "downloader") => {
    const { token } = await issue(role);
    if (protocol === "gRPC") return grpcWay(name, url, token);
    return httpWay(name, async (_verb, { hex }) => `${url}/v1/blobs/sha256:${hex}`, token);
  };
  const opened = new Map<string, { way: Promise<Way>; until: number }>();
  async function wayOf(role: "uploader" | "downloader"): Promise<Way> {
    const known = opened.get(role);
    if (known !== undefined && known.until > Date.now()) return known.way;
    const fresh = { way: open(role), until: Date.now() + renewMs };
    opened.set(role, fresh);
    await (await known?.way)?.close();
    return fresh.way;
  }
  return {
    name,
    upload: async (blob) => (await wayOf("uploader")).upload(blob),
    download: async (blob) => (await wayOf("downloader")).download(blob),
    close: async () => {
      for (const { way } of opened.values()) await (await way).close();
    },
  };
}
