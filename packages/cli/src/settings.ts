import { readFileSync } from "node:fs";
import path from "node:path";
import { UsageError } from "./errors.ts";

/** Options of every command, as the parser gives them; environment variables are in already. */
export interface GlobalOptions {
  addr: string;
  runAddr?: string;
  casAddr?: string;
  token?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  /** Milliseconds. */
  timeout?: number;
}

export interface Connections {
  /** Of attestation-ingest; of all three where they share one. */
  address: string;
  runAddress: string;
  casAddress: string;
  token: string | undefined;
  /** Where the token was found when nobody gave it. */
  tokenFile?: string;
  /** Of connections to https addresses. */
  tls: ClientTls;
}

/** PEM of whom to trust (undefined: whom the machine trusts) and of what to show (undefined: nothing). */
export interface ClientTls {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

/** Where to call, and with what. Throws UsageError for an address or a file that is none. */
export function connectionsOf(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env): Connections {
  const address = addressOf(options.addr, "--addr");
  const runAddress = options.runAddr === undefined ? address : addressOf(options.runAddr, "--run-addr");
  const casAddress = options.casAddr === undefined ? address : addressOf(options.casAddr, "--cas-addr");
  const local = [address, runAddress, casAddress].every(isLoopback);
  const connections = { address, runAddress, casAddress, tls: tlsOf(options, local ? localAuthority(env) : undefined) };
  if (options.token || !local) return { ...connections, token: options.token || undefined };
  return { ...connections, ...localAdminToken(env) };
}

/** `http://host:port`; a bare `host:port` is taken as http. */
function addressOf(text: string, option: string): string {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.pathname !== "/" || url.search !== "") {
    throw new UsageError(`${option}: expected an address as http://host:port, got ${JSON.stringify(text)}`);
  }
  return url.origin;
}

function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

function tlsOf({ tlsCa: ca, tlsCert: cert, tlsKey: key }: GlobalOptions, localCa: Buffer | undefined): ClientTls {
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--tls-cert and --tls-key go together");
  const trusted = ca === undefined ? localCa : pemFile(ca, "--tls-ca");
  return {
    ...(trusted && { ca: trusted }),
    ...(cert !== undefined && { cert: pemFile(cert, "--tls-cert") }),
    ...(key !== undefined && { key: pemFile(key, "--tls-key") }),
  };
}

function pemFile(file: string, option: string): Buffer {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (cause) {
    throw new UsageError(`${option}: cannot read ${file}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  if (!pem.includes("-----BEGIN ")) throw new UsageError(`${option}: ${file} is no PEM file`);
  return pem;
}

// The authority that a standalone server on this machine made for itself.
function localAuthority(env: NodeJS.ProcessEnv): Buffer | undefined {
  try {
    return readFileSync(path.join(dataDirOf(env), "tls", "ca.pem"));
  } catch {
    return undefined;
  }
}

function dataDirOf(env: NodeJS.ProcessEnv): string {
  return env.ATTESTRY_DATA_DIR ?? `.${path.sep}.attestry`;
}

// A server on this machine keeps its first token where only its owner can read it, so that owner needs no option.
function localAdminToken(env: NodeJS.ProcessEnv): { token: string | undefined; tokenFile?: string } {
  const file = `${dataDirOf(env)}${path.sep}admin-token`;
  try {
    return { token: readFileSync(file, "utf8").trim() || undefined, tokenFile: file };
  } catch {
    return { token: undefined };
  }
}
