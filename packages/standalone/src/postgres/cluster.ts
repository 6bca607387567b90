import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { StartFailure } from "@attestry/data-dir";
import type { PostgresBinaries } from "./binaries.ts";

const run = promisify(execFile);

export interface Cluster {
  /** Where the password file is. */
  dir: string;
  clusterDir: string;
  /** The superuser. */
  user: string;
}

/** Initialises the cluster if there is none. Returns the superuser's password. Throws StartFailure. */
export async function initialiseCluster(binaries: PostgresBinaries, cluster: Cluster): Promise<string> {
  const { dir, clusterDir } = cluster;
  const passwordFile = path.join(dir, "password");
  if (!existsSync(clusterDir)) {
    await rm(passwordFile, { force: true });
    await writeFile(passwordFile, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600, flush: true });
    await initialise(binaries, cluster, passwordFile);
  }
  return (await readFile(passwordFile, "utf8")).trim();
}

async function initialise(binaries: PostgresBinaries, cluster: Cluster, passwordFile: string): Promise<void> {
  const { dir, clusterDir, user } = cluster;
  // Made beside and renamed when complete: a start that was killed half-way leaves nothing that looks like a cluster.
  const unfinished = `${clusterDir}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  const args = ["-D", unfinished, "-U", user, "--encoding=UTF8", "--locale-provider=builtin", "--locale=C"];
  args.push("--builtin-locale=C.UTF-8", "--auth=scram-sha-256", `--pwfile=${passwordFile}`);
  const [program, ...rest] = [...binaries.wrapper, binaries.initdb, ...args] as [string, ...string[]];
  try {
    await run(program, rest, { env: environment() });
  } catch (cause) {
    const lines = String((cause as { stderr?: unknown }).stderr ?? cause)
      .trim()
      .split("\n");
    const line = lines.find((text) => /error|fatal/i.test(text)) ?? lines.at(-1) ?? "";
    throw new StartFailure("POSTGRES_CANNOT_START", `PostgreSQL cannot be initialised in ${dir}: ${line}`, { cause });
  }
  await rename(unfinished, clusterDir);
}

/** Only what it needs: variables such as PGPORT or LC_ALL must not change what it does. */
export function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" };
}
