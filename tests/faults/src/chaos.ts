import { canMount } from "@attestry/dev-env";
import { Command, Option } from "commander";
import { betweenServices, everyRound } from "./between.ts";
import { diskFull } from "./disk-full.ts";
import { everythingDies, serviceDies } from "./everything-dies.ts";
import { type Outcome, violationsOf } from "./experiment.ts";
import { services } from "./faults.ts";
import { chooseSeed, randomOf } from "./random.ts";
import { closingTable } from "./report.ts";
import { rollingRestart } from "./rolling.ts";
import { storageAway } from "./storage-away.ts";
import type { SkipDatabase } from "./world.ts";

interface Options {
  minutes: number;
  matrix?: boolean;
  kills: number;
  mode: readonly SkipDatabase[];
  seed?: number;
}

interface Round {
  what: string;
  run: () => Promise<Outcome>;
}

const modes: readonly SkipDatabase[] = ["false", "true", "spool"];

const program = new Command("chaos")
  .description("Kills, pauses and starves whatever Attestry consists of, under load, and proves that nothing is lost")
  .option("--minutes <n>", "begins rounds for so long; one takes a minute or two", Number, 10)
  .option("--matrix", "instead, kills each service at many moments in each mode, once: about a quarter of an hour")
  .option("--kills <n>", "with --matrix, how often each service is killed in each mode", Number, 20)
  .addOption(new Option("--mode <mode...>", "only in these modes").choices(modes).default(modes))
  .option("--seed <n>", "repeats the moments of an earlier run", Number)
  .action(run);

async function run({ minutes, matrix = false, kills, mode: chosen, seed = chooseSeed() }: Options): Promise<void> {
  const random = randomOf(seed);
  console.error(`seed ${seed}`);
  const outcomes: Outcome[] = [];
  const end = performance.now() + minutes * 60_000;
  for (const round of matrix ? wholeMatrix() : rounds()) {
    if (!matrix && performance.now() > end) break;
    outcomes.push(await tell(round));
  }
  console.log(closingTable(outcomes));

  function* rounds(): Generator<Round> {
    for (;;) {
      for (const mode of chosen) {
        yield { what: "everything dies", run: () => everythingDies(mode, random) };
        yield { what: "storage away", run: () => storageAway(mode) };
        yield { what: "the network between services", run: () => betweenServices(mode, everyRound(mode), random) };
        yield { what: "rolling restart", run: () => rollingRestart(mode, random) };
        if (canMount()) yield { what: "disk full", run: () => diskFull(mode) };
      }
    }
  }

  function* wholeMatrix(): Generator<Round> {
    for (const mode of chosen) {
      for (const part of services) {
        yield { what: `${kills} times ${part}`, run: () => serviceDies(mode, part, kills, random) };
      }
    }
  }
}

async function tell({ what, run }: Round): Promise<Outcome> {
  const outcome = await run();
  const violations = violationsOf(outcome);
  const { mode, calls, answeredOk } = outcome;
  console.error(`${what}, mode ${mode}: ${calls} calls, ${answeredOk} answered OK, ${violations.length} violations`);
  for (const violation of violations) console.error(`  ${violation}`);
  if (violations.length > 0) process.exitCode = 1;
  return outcome;
}

await program.parseAsync();
