import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createKeyFiles, type KeyFiles } from "@attestry/service-kit";
import { createSigningAuthorityFiles, type SigningAuthorityFiles } from "@attestry/service-kit/certificates";
import { ensureBucket, type MinioAccess } from "../minio.ts";

export interface ConstellationFiles {
  keys: KeyFiles;
  /** Of the authority whose certificates workflow-run issues. */
  signing: SigningAuthorityFiles;
  secretsDir: string;
  /** Folder of the backend `local`. */
  casDir: string;
}

/**
 * Keys, a signing authority, and the secrets `_shared/local` and, with a MinIO, `_shared/minio`, in a folder. What is there of the keys
 * stays; the bucket is made if it is not there.
 */
export async function prepareFiles(
  dir: string,
  minio: MinioAccess | undefined,
  bucket: string,
): Promise<ConstellationFiles> {
  const casDir = path.join(dir, "cas");
  const secretsDir = path.join(dir, "secrets");
  const shared = path.join(secretsDir, "_shared");
  await mkdir(casDir, { recursive: true, mode: 0o700 });
  await mkdir(shared, { recursive: true, mode: 0o700 });
  await writeSecret(path.join(shared, "local.json"), { provider: "filesystem", path: casDir });
  if (minio !== undefined) await writeSecret(path.join(shared, "minio.json"), await ensureBucket(minio, bucket));
  const keysDir = path.join(dir, "keys");
  return {
    keys: await createKeyFiles(keysDir),
    signing: await createSigningAuthorityFiles(keysDir),
    ...{ secretsDir, casDir },
  };
}

async function writeSecret(file: string, secret: object): Promise<void> {
  await writeFile(file, `${JSON.stringify(secret, undefined, 2)}\n`, { mode: 0o600 });
}
