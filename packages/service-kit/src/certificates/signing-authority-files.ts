import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { createWhole } from "../whole-file.ts";
import { SigningAuthority } from "./signing-authority.ts";

export interface SigningAuthorityFiles {
  certFile: string;
  keyFile: string;
}

/**
 * A signing authority of one's own in a folder: `signing-ca-key.pem` (P-384) and `signing-ca.pem`, good for ten years. What
 * is there stays. Safe to be cut off, and to be called by several at once: the certificate is made for the key that is there.
 */
export async function createSigningAuthorityFiles(dir: string): Promise<SigningAuthorityFiles> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files = { certFile: path.join(dir, "signing-ca.pem"), keyFile: path.join(dir, "signing-ca-key.pem") };
  // A certificate whose key was taken away is the operator's; a new key would not fit it.
  if (existsSync(files.certFile)) return files;
  if (!existsSync(files.keyFile)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    await createWhole(files.keyFile, privateKey.export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
  }
  const key = await readFile(files.keyFile, "utf8");
  await createWhole(files.certFile, await SigningAuthority.selfSigned(key), 0o644);
  return files;
}
