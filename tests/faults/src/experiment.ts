import { check, type Verdict } from "./checker.ts";
import { type Ledger, type Load, type LoadOptions, startLoad } from "./load.ts";
import type { MendedBy } from "./mended.ts";
import { type SkipDatabase, startWorld, type World, type WorldOptions } from "./world.ts";

export interface Outcome extends Verdict {
  mode: SkipDatabase;
  /** How many were injected. */
  faults: number;
  /** Calls that came back later than their deadline allows. */
  overdue: string[];
  /** Answers that only a bug gives. */
  bugs: string[];
  /** By whom what was unfinished was mended, at least so often: the counters of a process die with it. */
  mendedBy?: MendedBy;
}

export interface Experiment {
  mode: SkipDatabase;
  world?: WorldOptions;
  load?: LoadOptions;
  /** Injects the faults and takes them away, while the load goes on. Whatever it throws ends the experiment. */
  inject: (world: World, load: Load) => Promise<void>;
}

/** Starts a world and a load, injects faults, and when all is repaired has everything checked. */
export async function experiment({ mode, world: options, load: pattern, inject }: Experiment): Promise<Outcome> {
  const world = await startWorld(mode, options);
  try {
    const load = startLoad(world, { cancels: true, ...pattern });
    await inject(world, load).catch(async (error: unknown) => {
      await load.stop();
      throw error;
    });
    return await outcomeOf(mode, world, await load.stop());
  } finally {
    await world.stop();
  }
}

async function outcomeOf(mode: SkipDatabase, world: World, ledger: Ledger): Promise<Outcome> {
  const verdict = await check(world, ledger.entries);
  const { overdue } = ledger;
  const bugs = ledger.bugs.length > 0 ? [...ledger.bugs, ...world.errorLines] : [];
  const mendedBy = { ...(await world.mended.total()), ...(await lateUploads(world)) };
  return { ...verdict, mode, faults: world.faults.length, overdue, bugs, mendedBy };
}

/** Confirmed at a second attempt, or after waiting for a backend that was away. */
async function lateUploads(world: World): Promise<MendedBy> {
  const [late] = await world.query<{ uploads: number }>(
    `select count(*)::int as uploads from upload
     where state = 'confirmed' and (attempts > 1 or confirmed_at - created_at > interval '3 s')`,
  );
  return late?.uploads ? { "worker uploaded late": late.uploads } : {};
}

/** Everything that must not have happened. */
export function violationsOf({ lost, halfStored, overdue, bugs }: Outcome): string[] {
  return [...lost, ...halfStored, ...overdue, ...bugs];
}
