import { rmSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { isAlive, startTime } from "./processes.ts";

interface Owner {
  pid: number;
  /** Of the process, as the system gives it; tells it from a later process with the same id. */
  started: string | undefined;
}

export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes a lock file for this process, or returns the id of the living process that has it. A dead one's is taken over.
 * Holds among processes that see each other's ids: one host, or one container.
 */
export async function takeLock(file: string): Promise<Lock | { heldBy: number }> {
  const mine = JSON.stringify({ pid: process.pid, started: startTime(process.pid) } satisfies Owner);
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, mine, { mode: 0o600 });
  try {
    for (;;) {
      if (await linked(fresh, file)) return held(file, mine);
      const found = await readIfThere(file);
      if (found === undefined) continue;
      const owner = parseOwner(found);
      if (owner !== undefined && lives(owner)) return { heldBy: owner.pid };
      await setAside(file, found);
    }
  } finally {
    await rm(fresh, { force: true });
  }
}

function held(file: string, mine: string): Lock {
  const releaseNow = () => rmSync(file, { force: true });
  process.on("exit", releaseNow);
  return {
    async release() {
      process.off("exit", releaseNow);
      if ((await readIfThere(file)) === mine) await rm(file, { force: true });
    },
  };
}

/** A hard link either appears with its content or fails because there is one: nobody sees half a lock file. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes a dead owner's file, and no other: between the look and now another process may have taken the lock. */
async function setAside(file: string, dead: string): Promise<void> {
  const aside = `${file}.${process.pid}.dead`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if ((await readIfThere(aside)) !== dead) await linked(aside, file);
  await rm(aside, { force: true });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Owner>;
    return typeof pid === "number" ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function lives({ pid, started }: Owner): boolean {
  return isAlive(pid) && (started === undefined || startTime(pid) === started);
}
