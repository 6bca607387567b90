import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { calculateJwkThumbprint, type JWK } from "jose";
import { createWhole, replaceWhole } from "../whole-file.ts";
import type { ServiceName } from "./principal.ts";

const services: readonly ServiceName[] = ["workflow-run", "attestation-ingest", "cas-gateway"];

export interface KeyFiles {
  signingKeyFile(service: ServiceName): string;
  jwksFile: string;
}

/**
 * The keys of all three services in a folder: one private file each, and one JWK set with the public keys and those that
 * `rotateKey` left. Makes what is not there yet; an existing key is never replaced.
 */
export async function createKeyFiles(dir: string): Promise<KeyFiles> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files = keyFilesIn(dir);
  const keys: JWK[] = [];
  for (const service of services) {
    const file = files.signingKeyFile(service);
    await createWhole(file, jsonText(await newKey(service)), 0o600);
    keys.push(publicOf(await readKey(file)));
  }
  await replaceWhole(files.jwksFile, jsonText({ keys: [...keys, ...(await readFormerKeys(dir))] }), 0o644);
  return files;
}

/**
 * Makes a new signing key for the service. The former one's public key stays in the JWK set, so that what it signed is
 * good until `removeFormerKey`. Safe to be cut off: the former key is kept before it is replaced.
 */
export async function rotateKey(dir: string, service: ServiceName): Promise<{ kid: string; formerKid: string }> {
  const files = await createKeyFiles(dir);
  const file = files.signingKeyFile(service);
  const former = publicOf(await readKey(file));
  const others = (await readFormerKeys(dir)).filter(({ kid }) => kid !== former.kid);
  await replaceWhole(formerKeysFile(dir), jsonText({ keys: [...others, former] }), 0o644);
  const fresh = await newKey(service);
  await replaceWhole(file, jsonText(fresh), 0o600);
  await createKeyFiles(dir);
  return { kid: fresh.kid ?? "", formerKid: former.kid ?? "" };
}

/** Takes a former key out of the JWK set: what it signed is refused from the services' next start on. False: it is none. */
export async function removeFormerKey(dir: string, kid: string): Promise<boolean> {
  const former = await readFormerKeys(dir);
  const left = former.filter((key) => key.kid !== kid);
  if (left.length === former.length) return false;
  await replaceWhole(formerKeysFile(dir), jsonText({ keys: left }), 0o644);
  await createKeyFiles(dir);
  return true;
}

/** The key ids of a folder: those that sign, and the former ones that are still trusted. */
export async function listKeys(dir: string): Promise<{ signing: string[]; former: string[] }> {
  const files = keyFilesIn(dir);
  const signing = await Promise.all(services.map(async (service) => readKey(files.signingKeyFile(service))));
  return { signing: signing.map(kidOf), former: (await readFormerKeys(dir)).map(kidOf) };
}

function keyFilesIn(dir: string): KeyFiles {
  return {
    signingKeyFile: (service) => path.join(dir, `${service}.jwk.json`),
    jwksFile: path.join(dir, "jwks.json"),
  };
}

/** Public keys that signed once. A file of its own: a key whose file somebody deletes is trusted no longer. */
function formerKeysFile(dir: string): string {
  return path.join(dir, "former.jwks.json");
}

async function readFormerKeys(dir: string): Promise<JWK[]> {
  const text = await readFile(formerKeysFile(dir), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return '{"keys":[]}';
    throw error;
  });
  return (JSON.parse(text) as { keys: JWK[] }).keys.map(publicOf);
}

async function readKey(file: string): Promise<JWK> {
  return JSON.parse(await readFile(file, "utf8")) as JWK;
}

function publicOf({ d: _private, ...publicKey }: JWK): JWK {
  return publicKey;
}

function kidOf({ kid = "" }: JWK): string {
  return kid;
}

/** A new private Ed25519 key; its key id names the service, so that a key can speak for its service only. */
export async function newKey(service: ServiceName): Promise<JWK> {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }) as JWK;
  return { ...jwk, kid: `${service}.${await calculateJwkThumbprint(jwk)}`, alg: "EdDSA", use: "sig" };
}

function jsonText(content: object): string {
  return `${JSON.stringify(content, undefined, 2)}\n`;
}
