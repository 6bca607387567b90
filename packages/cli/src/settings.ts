import { readFileSync } from "node:fs";
import path from "node:path";
import { UsageError } from "./errors.ts";

/** Options of every command, as the parser gives them; environment variables are in already. */
export interface GlobalOptions {
  addr: string;
  runAddr?: string;
  casAddr?: string;
  token?: string;
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
}

/** Where to call, and with which token. Throws UsageError for an address that is none. */
export function connectionsOf(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env): Connections {
  const address = addressOf(options.addr, "--addr");
  const runAddress = options.runAddr === undefined ? address : addressOf(options.runAddr, "--run-addr");
  const casAddress = options.casAddr === undefined ? address : addressOf(options.casAddr, "--cas-addr");
  const local = [address, runAddress, casAddress].every(isLoopback);
  const addresses = { address, runAddress, casAddress };
  if (options.token || !local) return { ...addresses, token: options.token || undefined };
  return { ...addresses, ...localAdminToken(env) };
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

// A server on this machine keeps its first token where only its owner can read it, so that owner needs no option.
function localAdminToken(env: NodeJS.ProcessEnv): { token: string | undefined; tokenFile?: string } {
  const file = `${env.ATTESTRY_DATA_DIR ?? "./.attestry"}${path.sep}admin-token`;
  try {
    return { token: readFileSync(file, "utf8").trim() || undefined, tokenFile: file };
  } catch {
    return { token: undefined };
  }
}
