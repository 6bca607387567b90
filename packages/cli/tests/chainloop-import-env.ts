import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createTestBucket, minioClient, type S3Secret, testMinio } from "@attestry/dev-env";
import type { Constellation } from "@attestry/dev-env/constellation";
import { sha256 } from "./chainloop-bundle.ts";
import { type ChainloopSource, type ChainloopVersion, createChainloop } from "./chainloop-source.ts";
import { cliOf } from "./cli-of.ts";
import type { CliOptions, CliResult } from "./run-cli.ts";

export interface ImportAnswer {
  organization: string;
  dryRun: boolean;
  progressFile: string | null;
  attestations: { imported: number; present: number; sizeBytes: number; ofLatestRevision: number };
  materials: { uploaded: number; present: number; sizeBytes: number };
  legacy: { count: number; runIds: string[] };
  failed: { attestations: number; materials: number };
  faults: { runId: string; digest: string | null; what: string; reason: string; message: string }[];
}

/** A chainloop installation with its bucket, and the command that imports it. */
export interface ImportEnv {
  source: ChainloopSource;
  bucket: S3Secret;
  bucketFile: string;
  /** What the imports of this installation remember. */
  stateDir: string;
  /** Puts an object where chainloop puts what has this digest. */
  putObject(bytes: Uint8Array, digest?: string, metadata?: Record<string, string>): Promise<string>;
  import(args?: readonly string[], options?: CliOptions): Promise<CliResult & { answer: ImportAnswer }>;
  remove(): Promise<void>;
}

export async function createImportEnv(constellation: Constellation, version: ChainloopVersion): Promise<ImportEnv> {
  const { cli } = cliOf(constellation);
  const folder = await mkdtemp(path.join(tmpdir(), "attestry-import-"));
  const source = await createChainloop(version);
  const bucket = await createTestBucket();
  const bucketFile = path.join(folder, "bucket.json");
  await writeFile(bucketFile, JSON.stringify(bucket));
  const stateDir = path.join(folder, "state");
  return {
    ...{ source, bucket, bucketFile, stateDir },
    async putObject(bytes, digest = sha256(bytes), metadata = { Author: "chainloop.dev", Filename: "file" }) {
      await minioClient(testMinio()).putObject(bucket.bucket, digest, Buffer.from(bytes), bytes.byteLength, metadata);
      return digest;
    },
    async import(args = [], options = {}) {
      const env = { XDG_STATE_HOME: stateDir, ...options.env };
      const all = ["import", "chainloop", "--database", source.url, "--backend", bucketFile, ...args, "-o", "json"];
      const result = await cli(all, { ...options, env });
      return { ...result, answer: (result.stdout === "" ? {} : JSON.parse(result.stdout)) as ImportAnswer };
    },
    async remove() {
      await source.drop();
      await rm(folder, { recursive: true });
    },
  };
}
