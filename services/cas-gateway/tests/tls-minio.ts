import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram, freePort, spawnServer } from "@attestry/dev-env";
import { Client } from "minio";

const openssl = (args: string[]) => promisify(execFile)("openssl", args);

export interface TlsMinio {
  port: number;
  accessKey: string;
  secretKey: string;
  bucket: string;
  /** PEM of the authority that signed its certificate. */
  ca: string;
  /** PEM of an authority that did not. */
  otherCa: string;
  /** The name of the key that its key management has. */
  kmsKey: string;
  client: Client;
  stop(): Promise<void>;
}

/**
 * A MinIO of its own with TLS by a private authority, at `localhost`, `127.0.0.1` and `[::1]`; it encrypts, and takes the
 * bucket in the host's name.
 */
export async function startTlsMinio(): Promise<TlsMinio> {
  const dir = await mkdtemp(join(tmpdir(), "attestry-tls-"));
  const certs = join(dir, "certs");
  await mkdir(certs);
  const ca = await authority(dir, "ca");
  const otherCa = await authority(dir, "other");
  await certificate(dir, certs);
  const port = await freePort();
  const [accessKey, secretKey, kmsKey] = ["attestry", randomBytes(18).toString("base64url"), "attestry-key"];
  const agent = new https.Agent({ ca });
  const minio = await spawnServer({
    name: "MinIO",
    command: findProgram("minio") ?? "minio",
    args: [
      ...["server", "--quiet", "--certs-dir", certs, "--address", `:${port}`],
      ...["--console-address", `127.0.0.1:${await freePort()}`, join(dir, "data")],
    ],
    env: {
      ...{ PATH: process.env.PATH, HOME: dir, MINIO_ROOT_USER: accessKey, MINIO_ROOT_PASSWORD: secretKey },
      ...{ MINIO_BROWSER: "off", MINIO_UPDATE: "off", MINIO_DOMAIN: "s3.localhost" },
      MINIO_KMS_SECRET_KEY: `${kmsKey}:${randomBytes(32).toString("base64")}`,
    },
    isReady: () => answers(port, agent),
  });
  const bucket = "private";
  const client = new Client({
    ...{ endPoint: "localhost", port, useSSL: true, region: "us-east-1", accessKey, secretKey, transportAgent: agent },
  });
  await client.makeBucket(bucket, "us-east-1");
  return {
    ...{ port, accessKey, secretKey, bucket, ca, otherCa, kmsKey, client },
    stop: async () => {
      agent.destroy();
      await minio.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function authority(dir: string, name: string): Promise<string> {
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  await openssl([
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name} of the test`],
    ...["-keyout", key, "-out", cert],
  ]);
  return readFile(cert, "utf8");
}

async function certificate(dir: string, certs: string): Promise<void> {
  const [request, extensions] = [join(dir, "request.pem"), join(dir, "extensions")];
  await writeFile(extensions, "subjectAltName=DNS:localhost,DNS:*.s3.localhost,IP:127.0.0.1,IP:::1\n");
  await openssl([
    ...["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"],
    ...["-keyout", join(certs, "private.key"), "-out", request],
  ]);
  await openssl([
    ...["x509", "-req", "-in", request, "-CA", join(dir, "ca.pem"), "-CAkey", join(dir, "ca.key")],
    ...["-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", join(certs, "public.crt")],
  ]);
}

function answers(port: number, agent: https.Agent): Promise<boolean> {
  return new Promise((resolve) => {
    https
      .get({ host: "localhost", port, agent, path: "/minio/health/ready" }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      })
      .on("error", () => resolve(false));
  });
}
