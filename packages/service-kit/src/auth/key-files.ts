import { generateKeyPairSync, randomUUID } from "node:crypto";
import { link, mkdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { calculateJwkThumbprint, type JWK } from "jose";
import type { ServiceName } from "./principal.ts";

const services: readonly ServiceName[] = ["workflow-run", "attestation-ingest", "cas-gateway"];

export interface KeyFiles {
  signingKeyFile(service: ServiceName): string;
  jwksFile: string;
}

/**
 * The keys of all three services in a folder: one private file each, and one JWK set with the public keys. Makes
 * what is not there yet; an existing key is never replaced.
 */
export async function createKeyFiles(dir: string): Promise<KeyFiles> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files: KeyFiles = {
    signingKeyFile: (service) => path.join(dir, `${service}.jwk.json`),
    jwksFile: path.join(dir, "jwks.json"),
  };
  const keys: JWK[] = [];
  for (const service of services) {
    const file = files.signingKeyFile(service);
    const fresh = JSON.stringify(await newKey(service), undefined, 2);
    await createWhole(file, `${fresh}\n`);
    const { d: _private, ...publicKey } = JSON.parse(await readFile(file, "utf8")) as JWK;
    keys.push(publicKey);
  }
  const whole = temporaryName(files.jwksFile);
  await writeFile(whole, `${JSON.stringify({ keys }, undefined, 2)}\n`, { mode: 0o644 });
  await rename(whole, files.jwksFile);
  return files;
}

/** A new private Ed25519 key; its key id names the service, so that a key can speak for its service only. */
export async function newKey(service: ServiceName): Promise<JWK> {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }) as JWK;
  return { ...jwk, kid: `${service}.${await calculateJwkThumbprint(jwk)}`, alg: "EdDSA", use: "sig" };
}

/** Another process may do the same now: the file appears with all its content, once, or was there before. */
async function createWhole(file: string, content: string): Promise<void> {
  const whole = temporaryName(file);
  await writeFile(whole, content, { mode: 0o600, flag: "wx" });
  await link(whole, file).catch(unlessItExists);
  await unlink(whole);
}

function temporaryName(file: string): string {
  return `${file}.${randomUUID()}.tmp`;
}

function unlessItExists(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
