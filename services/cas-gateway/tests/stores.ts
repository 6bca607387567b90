import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createTestBucket, minioClient, testMinio } from "@attestry/dev-env";
import { filesBelow } from "./harness.ts";

/** A place behind a gateway, looked at from behind. */
export interface Store {
  /** Content of the secret file. */
  secret: object;
  /** Everything in it: keys, unfinished uploads, staging files. */
  content(): Promise<string[]>;
  put(key: string, bytes: Buffer): Promise<void>;
  stop(): Promise<void>;
}

export async function folderStore(): Promise<Store> {
  const path = await mkdtemp(join(tmpdir(), "attestry-store-"));
  return {
    secret: { provider: "filesystem", path },
    content: async () => (await filesBelow(path)).sort(),
    put: async (key, bytes) => {
      await mkdir(dirname(join(path, key)), { recursive: true });
      await writeFile(join(path, key), bytes);
    },
    stop: () => rm(path, { recursive: true, force: true }),
  };
}

export async function bucketStore(): Promise<Store> {
  const secret = await createTestBucket();
  const client = minioClient(testMinio());

  async function content(): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const { name } of client.listObjectsV2(secret.bucket, "", true)) names.push(name);
      for await (const { key } of client.listIncompleteUploads(secret.bucket, "", true))
        names.push(`unfinished ${key}`);
    } catch (error) {
      // An upload ended while the client was at its parts.
      if ((error as { code?: string }).code === "NoSuchUpload") return content();
      throw error;
    }
    return names.sort();
  }
  return {
    secret,
    content,
    put: async (key, bytes) => void (await client.putObject(secret.bucket, key, bytes)),
    stop: async () => undefined,
  };
}
