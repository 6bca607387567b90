import { canMount } from "@attestry/dev-env";
import { Command, Option } from "commander";
import { betweenServices, everyRound } from "./between.ts";
import { diskFull } from "./disk-full.ts";
import { everythingDies, serviceDies } from "./everything-dies.ts";
import { type Outcome, violationsOf } from "./experiment.ts";
import { services, shuffled } from "./faults.ts";
import { chooseSeed, type Random, randomOf } from "./random.ts";
import { closingTable } from "./report.ts";
import { rollingRestart } from "./rolling.ts";
import { storageAway } from "./storage-away.ts";
import type { SkipDatabase } from "./world.ts";

interface Options {
  minutes?: number;
  kills: number;
  mode: readonly SkipDatabase[];
  seed?: number;
}

interface Round {
  mode: SkipDatabase;
  what: string;
  run: () => Promise<Outcome>;
}

const modes: readonly SkipDatabase[] = ["false", "true", "spool"];

const program = new Command("chaos")
  .description("Kills, pauses and starves whatever Attestry consists of, under load, and proves that nothing is lost")
  .option(
    "--minutes <n>",
    "begins rounds for so long, in a random order; one takes a minute or two (default: each once)",
    Number,
  )
  .option("--kills <n>", "how often a service is killed in its round", Number, 20)
  .addOption(new Option("--mode <mode...>", "only in these modes").choices(modes).default(modes))
  .option("--seed <n>", "repeats the moments of an earlier run", Number)
  .action(run);

async function run({ minutes, kills, mode: chosen, seed = chooseSeed() }: Options): Promise<void> {
  const random = randomOf(seed);
  console.error(`seed ${seed}`);
  const outcomes: Outcome[] = [];
  const all = chosen.flatMap((mode) => roundsOf(mode, kills, random));
  const end = performance.now() + (minutes ?? 0) * 60_000;
  for (const round of minutes === undefined ? all : endless(all, random)) {
    if (minutes !== undefined && performance.now() > end) break;
    outcomes.push(await tell(round));
  }
  console.log(closingTable(outcomes));
}

function roundsOf(mode: SkipDatabase, kills: number, random: Random): Round[] {
  const rounds = services.map((part) => ({
    ...{ mode, what: `${part} killed ${kills} times` },
    run: () => serviceDies(mode, part, kills, random),
  }));
  const others: Record<string, () => Promise<Outcome>> = {
    "everything dies": () => everythingDies(mode, random),
    "storage away": () => storageAway(mode),
    "the network between services": () => betweenServices(mode, everyRound(mode), random),
    "rolling restart": () => rollingRestart(mode, random),
    ...(canMount() && { "disk full": () => diskFull(mode) }),
  };
  return [...rounds, ...Object.entries(others).map(([what, run]) => ({ mode, what, run }))];
}

/** All of them, in an order of the seed's, again and again. */
function* endless(rounds: readonly Round[], random: Random): Generator<Round> {
  for (;;) yield* shuffled(rounds, random);
}

async function tell({ mode, what, run }: Round): Promise<Outcome> {
  console.error(`${what}, mode ${mode}`);
  const outcome = await run();
  const violations = violationsOf(outcome);
  const { calls, answeredOk } = outcome;
  console.error(`  ${calls} calls, ${answeredOk} answered OK, ${violations.length} violations`);
  for (const violation of violations) console.error(`  ${violation}`);
  if (violations.length > 0) process.exitCode = 1;
  return outcome;
}

await program.parseAsync();
