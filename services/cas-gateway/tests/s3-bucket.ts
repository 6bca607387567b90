import { createTestBucket, minioClient, type S3Secret, testMinio } from "@attestry/dev-env";
import { S3Backend, type S3Options } from "../src/backends/s3.ts";
import type { BackendUnderTest } from "./backend-contract.ts";

export interface Bucket extends BackendUnderTest {
  options: S3Options;
  /** With a prefix, and what else is to be different; closed when the bucket is stopped. */
  backend(changes?: Partial<S3Options>): S3Backend;
}

/** What a bucket does with versions: keeps none, keeps them, or can hold them against deletion. */
export type BucketKind = "plain" | "versioned" | "locked";

/** A bucket of its own on the shared MinIO, looked at from behind. */
export async function startBucket(kind: BucketKind = "plain"): Promise<Bucket> {
  const secret = await createBucket(kind);
  const client = minioClient(testMinio());
  const endpoint = new URL(secret.endpoint);
  const times = { requestTimeoutMs: 5_000, uploadRetentionMs: 86_400_000 };
  const options: S3Options = { ...secret, endpoint, prefix: "", objectLockMode: "COMPLIANCE", ...times };
  const opened: S3Backend[] = [];
  function backend(changes: Partial<S3Options> = {}): S3Backend {
    const made = new S3Backend({ ...options, ...changes });
    opened.push(made);
    return made;
  }
  return {
    options,
    backend,
    open: (prefix, changes) => backend({ prefix, ...changes }),
    leftovers: async (prefix) => {
      const names: string[] = [];
      for await (const { name } of client.listObjectsV2(secret.bucket, prefix, true)) names.push(name);
      // Without their parts, which the client asks for otherwise: an upload may end meanwhile.
      const { uploads } = await client.listIncompleteUploadsQuery(secret.bucket, "", "", "", "");
      for (const { key } of uploads) if (key.startsWith(prefix)) names.push(`unfinished ${key}`);
      return names;
    },
    spoil: async (prefix, key, bytes) => void (await client.putObject(secret.bucket, prefix + key, bytes)),
    stop: async () => {
      for (const made of opened) made.close();
    },
  };
}

async function createBucket(kind: BucketKind): Promise<Omit<S3Secret, "provider">> {
  const { provider: _, ...secret } = await createTestBucket();
  const client = minioClient(testMinio());
  if (kind === "versioned") await client.setBucketVersioning(secret.bucket, { Status: "Enabled" });
  if (kind !== "locked") return secret;
  const bucket = `${secret.bucket}-locked`;
  await client.makeBucket(bucket, secret.region, { ObjectLocking: true });
  return { ...secret, bucket };
}
