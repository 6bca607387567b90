import { Command } from "commander";
import { everythingDies, type Outcome } from "./everything-dies.ts";
import { chooseSeed, randomOf } from "./random.ts";
import { closingTable } from "./report.ts";
import type { SkipDatabase } from "./world.ts";

const modes: readonly SkipDatabase[] = ["false", "true", "spool"];

const program = new Command("chaos")
  .description("Kills and pauses whatever Attestry consists of, under load, and proves that nothing is lost")
  .option("--minutes <n>", "begins rounds for so long; one round takes about a minute", Number, 10)
  .option("--seed <n>", "repeats the moments of an earlier run", Number)
  .action(run);

async function run({ minutes, seed = chooseSeed() }: { minutes: number; seed?: number }): Promise<void> {
  const random = randomOf(seed);
  const outcomes: Outcome[] = [];
  const end = performance.now() + minutes * 60_000;
  console.error(`seed ${seed}`);
  for (let round = 0; performance.now() < end; round++) {
    const outcome = await everythingDies(modes[round % modes.length] ?? "false", random);
    outcomes.push(outcome);
    const { mode, calls, answeredOk, lost, halfStored, overdue, bugs } = outcome;
    const faults = [...lost, ...halfStored, ...overdue, ...bugs];
    console.error(
      `round ${round + 1}, mode ${mode}: ${calls} calls, ${answeredOk} answered OK, ${faults.length} violations`,
    );
    for (const fault of faults) console.error(`  ${fault}`);
    if (faults.length > 0) process.exitCode = 1;
  }
  console.log(closingTable(outcomes));
}

await program.parseAsync();
