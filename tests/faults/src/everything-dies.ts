import { shiftedClock } from "@attestry/dev-env";
import { experiment, type Outcome } from "./experiment.ts";
import {
  cutConnections,
  databases,
  killAndRestart,
  pauseAndResume,
  quitAndRestart,
  servers,
  services,
  shuffled,
  wipeCache,
} from "./faults.ts";
import type { Random } from "./random.ts";
import type { SkipDatabase, World } from "./world.ts";

export type { Outcome } from "./experiment.ts";

const hourMs = 3_600_000;
const worker = "attestation-ingest-worker";

/**
 * Under load, whatever Attestry consists of dies, is paused or forgets, and comes back. The worker's clock is an hour
 * ahead or behind all the while.
 */
export function everythingDies(mode: SkipDatabase, random: Random): Promise<Outcome> {
  const shiftMs = random() < 0.5 ? hourMs : -hourMs;
  const faults: ((world: World) => Promise<void>)[] = [
    ...[...services, ...servers].map((part) => (world: World) => killAndRestart(world, part, random)),
    ...servers.map((part) => (world: World) => pauseAndResume(world, part, random)),
    ...databases.map((database) => (world: World) => quitAndRestart(world, database, random)),
    ...databases.map((database) => (world: World) => cutConnections(world, database, random)),
    (world) => wipeCache(world, random),
  ];
  return experiment({
    mode,
    world: { envOf: { [worker]: shiftedClock(shiftMs) } },
    inject: async (world) => {
      world.faults.push(`${worker}'s clock ${shiftMs} ms ahead`);
      for (const fault of shuffled(faults, random)) await fault(world);
    },
  });
}

/** Under load, one service is killed so many times, each at a random moment. */
export function serviceDies(
  mode: SkipDatabase,
  part: (typeof services)[number],
  times: number,
  random: Random,
): Promise<Outcome> {
  return experiment({
    mode,
    inject: async (world) => {
      for (let time = 0; time < times; time++) await killAndRestart(world, part, random);
    },
  });
}
