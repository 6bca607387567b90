import { copyFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { createKeyFiles } from "@attestry/service-kit/keys";

const services = ["workflow-run", "attestation-ingest", "cas-gateway"] as const;

/**
 * The keys of the three services in `dir`, made if they are not there yet, and for each service a folder
 * `dir/<service>` with what it alone may see: its `signing-key.jwk.json`, and `jwks.json` with the public keys of all. In that
 * of workflow-run also the signing authority, `signing-ca.pem` and `signing-ca-key.pem`.
 */
export async function createKeyFolders(dir: string): Promise<void> {
  const files = await createKeyFiles(dir);
  // Loaded when it is needed: no other command makes certificates.
  const { createSigningAuthorityFiles } = await import("@attestry/service-kit/certificates");
  const signing = await createSigningAuthorityFiles(dir);
  for (const service of services) {
    const folder = path.join(dir, service);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await copyFile(files.signingKeyFile(service), path.join(folder, "signing-key.jwk.json"));
    await copyFile(files.jwksFile, path.join(folder, "jwks.json"));
  }
  const runFolder = path.join(dir, "workflow-run");
  // The key first: with a certificate whose key is another, workflow-run goes on with what it has.
  await copyFile(signing.keyFile, path.join(runFolder, path.basename(signing.keyFile)));
  await copyFile(signing.certFile, path.join(runFolder, path.basename(signing.certFile)));
}

/** What is behind a secret reference, as cas-gateway reads it. */
export type CasSecret =
  | { provider: "filesystem"; path: string }
  | {
      provider: "s3";
      endpoint: string;
      region: string;
      bucket: string;
      accessKey: string;
      secretKey: string;
      pathStyle: boolean;
    };

/** Writes the secret of a backend that every organization may use, `_shared/<name>`. True if that changed the file. */
export async function writeSharedSecret(dir: string, name: string, secret: CasSecret): Promise<boolean> {
  const folder = path.join(dir, "_shared");
  const file = path.join(folder, `${name}.json`);
  const text = `${JSON.stringify(secret, undefined, 2)}\n`;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const present = await readFile(file, "utf8").catch(() => undefined);
  if (present === text) return false;
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return true;
}
