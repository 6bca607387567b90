import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { freePort } from "@attestry/standalone/postgres";
import { Client } from "minio";
import { findProgram, howToGet } from "./programs.ts";
import { answersOk, type Spawned, spawnServer } from "./spawned.ts";

/** How to reach a MinIO as its owner. */
export interface MinioAccess {
  /** `http://127.0.0.1:PORT`. */
  endpoint: string;
  port: number;
  region: string;
  accessKey: string;
  secretKey: string;
}

export interface MinioServer extends Spawned, MinioAccess {}

export interface MinioOptions {
  /** Folder of its objects. */
  dir: string;
  port?: number;
  /** Random ones if not given. */
  accessKey?: string;
  secretKey?: string;
  detached?: boolean;
}

/** Starts a MinIO on 127.0.0.1. Throws if the machine has none. */
export async function startMinio(options: MinioOptions): Promise<MinioServer> {
  const command = findProgram("minio");
  if (command === undefined) throw new Error(`no minio here: ${howToGet("minio")}`);
  const port = options.port ?? (await freePort());
  const consolePort = await freePort();
  const accessKey = options.accessKey ?? "attestry";
  const secretKey = options.secretKey ?? randomBytes(18).toString("base64url");
  await mkdir(options.dir, { recursive: true });

  const endpoint = `http://127.0.0.1:${port}`;
  const args = ["server", "--quiet", "--address", `127.0.0.1:${port}`];
  args.push("--console-address", `127.0.0.1:${consolePort}`, options.dir);
  const env = {
    PATH: process.env.PATH,
    HOME: options.dir,
    MINIO_ROOT_USER: accessKey,
    MINIO_ROOT_PASSWORD: secretKey,
    MINIO_BROWSER: "off",
    MINIO_UPDATE: "off",
  };
  const isReady = () => answersOk(`${endpoint}/minio/health/ready`);
  const spawned = await spawnServer({ name: "MinIO", command, args, env, detached: options.detached, isReady });
  return { ...spawned, endpoint, port, region: "us-east-1", accessKey, secretKey };
}

/** A client of it with all rights, to look at what a service wrote. */
export function minioClient(access: MinioAccess): Client {
  const { port, region, accessKey, secretKey } = access;
  return new Client({ endPoint: "127.0.0.1", port, useSSL: false, region, accessKey, secretKey });
}

/** What a gateway's secret file says of a bucket. */
export interface S3Secret {
  provider: "s3";
  endpoint: string;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  pathStyle: true;
}

/** Makes the bucket if there is none, and gives the secret by which a gateway uses it. */
export async function ensureBucket(access: MinioAccess, bucket: string): Promise<S3Secret> {
  const client = minioClient(access);
  if (!(await client.bucketExists(bucket))) await client.makeBucket(bucket, access.region);
  const { endpoint, region, accessKey, secretKey } = access;
  return { provider: "s3", endpoint, region, bucket, accessKey, secretKey, pathStyle: true };
}
