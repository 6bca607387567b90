import { check, type Verdict } from "./checker.ts";
import { killAndRestart, pauseAndResume, servers, services, shuffled } from "./faults.ts";
import { startLoad } from "./load.ts";
import type { Random } from "./random.ts";
import { type SkipDatabase, startWorld } from "./world.ts";

export interface Outcome extends Verdict {
  mode: SkipDatabase;
  faults: number;
  /** Calls that came back later than their deadline allows. */
  overdue: string[];
  /** Answers that only a bug gives. */
  bugs: string[];
}

/** Under load, each service and each server is killed and comes back, the servers are paused too; then all is checked. */
export async function everythingDies(mode: SkipDatabase, random: Random): Promise<Outcome> {
  const world = await startWorld(mode);
  try {
    const load = startLoad(world);
    const parts = shuffled([...services, ...servers], random);
    for (const part of parts) await killAndRestart(world, part, random);
    for (const part of servers) await pauseAndResume(world, part, random);
    const { overdue, bugs, ...ledger } = await load.stop();
    const verdict = await check(world, ledger.entries);
    return { ...verdict, mode, faults: parts.length + servers.length, overdue, bugs };
  } finally {
    await world.stop();
  }
}
