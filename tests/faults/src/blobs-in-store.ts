import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { type MinioAccess, minioClient } from "@attestry/dev-env";
import type { Constellation } from "@attestry/dev-env/constellation";

export interface BlobInStore {
  /** Its key in the bucket, or its file. */
  key: string;
  sizeBytes: number;
  md5: string;
}

export const bucket = "attestry";
const digits = /([0-9a-f]{64})$/;

/** All blobs that the backend has, past the gateway, by the hex digits at the end of their names. */
export function blobsIn({ servers: { minio }, casDir }: Constellation): Promise<Map<string, BlobInStore>> {
  return minio === undefined ? blobsInFolder(casDir) : blobsInBucket(minio);
}

async function blobsInBucket(minio: MinioAccess): Promise<Map<string, BlobInStore>> {
  const blobs = new Map<string, BlobInStore>();
  for await (const { name, size, etag } of minioClient(minio).listObjectsV2(bucket, "", true)) {
    const hex = digits.exec(name ?? "")?.[1];
    // The ETag of what was written in one piece is its MD5.
    if (hex !== undefined) blobs.set(hex, { key: name ?? "", sizeBytes: size ?? 0, md5: etag ?? "" });
  }
  return blobs;
}

/** Also of what another process sees there: see disk-full.ts. */
export async function blobsInFolder(folder: string): Promise<Map<string, BlobInStore>> {
  const blobs = new Map<string, BlobInStore>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const hex = digits.exec(entry.name)?.[1];
    if (hex === undefined || !entry.isFile()) continue;
    const key = path.join(entry.parentPath, entry.name);
    const bytes = await readFile(key);
    blobs.set(hex, { key, sizeBytes: bytes.length, md5: createHash("md5").update(bytes).digest("hex") });
  }
  return blobs;
}
