import { Command } from "commander";
import { chooseSeed, fuzz } from "./fuzz.ts";
import { nastyFiles } from "./nasty.ts";
import { fuzzServer, type Outcomes, storeNastyFiles } from "./server/fuzz-server.ts";
import { mostBytes, startServer } from "./server/standalone.ts";
import { createTargets } from "./targets.ts";

interface Options {
  minutes: number;
  seed: number;
}

/** Cases of a server in one round. */
const serverRuns = 4_000;

await new Command("fuzz")
  .description(
    "Sends what nobody should to the functions that take it and to a server, until the time is over or one fails",
  )
  .option("--minutes <n>", "begins rounds for so long", Number, 5)
  .option("--seed <n>", "of the first round; each next one has the next", Number, chooseSeed())
  .action(run)
  .parseAsync();

async function run({ minutes, seed: first }: Options): Promise<void> {
  const end = performance.now() + minutes * 60_000;
  const targets = await createTargets();
  const server = await startServer();
  let cases = 0;
  try {
    for (let seed = first; seed === first || performance.now() < end; seed++) {
      console.error(`round of seed ${seed}`);
      for (const target of targets) {
        await fuzz(target, seed);
        cases += target.runs;
      }
      show("calls of a server", await fuzzServer(server, { seed, runs: serverRuns }));
      await storeNastyFiles(server);
      await server.serves();
      cases += serverRuns + nastyFiles.length;
    }
    for (const { name, outcomes } of targets) show(name, outcomes);
    const peak = (await server.peakBytes()) ?? 0;
    const faults = [...server.faults(), ...(peak > mostBytes ? [`the server took ${peak} bytes`] : [])];
    console.log(`${cases} cases, ${faults.length} faults; the server took at most ${Math.ceil(peak / 2 ** 20)} MiB`);
    if (faults.length === 0) return;
    console.error(faults.join("\n"));
    process.exitCode = 1;
  } finally {
    await server.stop();
  }
}

function show(name: string, outcomes: Outcomes): void {
  const counted = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => `${outcome} ${count}`);
  console.error(`${name}: ${counted.join(", ")}`);
}
