import os from "node:os";
import { Command, Option } from "commander";
import { benchCas } from "./cas/cas.ts";
import type { BenchMode } from "./client.ts";
import { casTable, type Figure, table, uploadsTable, writeJson } from "./report.ts";
import { benchStore, type LoadPlan } from "./store.ts";
import { startTarget, type Target } from "./targets.ts";
import { benchUploads } from "./uploads/uploads.ts";
import { benchVerification } from "./verification.ts";
import { benchView } from "./view.ts";

const modes: readonly BenchMode[] = ["database", "database+upload", "cas", "spool"];
const targets = ["standalone", "processes"] as const;
const benches = { store: benchStore, view: benchView, verification: benchVerification };

interface Options {
  json?: string;
  targets: Target["name"][];
  modes: BenchMode[];
  inFlight: number[];
  rounds: number;
  calls: number;
  loads: string[];
  backlog: number;
}

const list = (text: string) => text.split(",");
const numbers = (text: string) => list(text).map(Number);

const program = new Command("bench")
  .description(
    "Loads Attestry and, in the same run and on the same database, a bare client; prints both and their ratio",
  )
  .argument(
    "<name>",
    "store (Store of 63,552-byte bundles), view (Get, hot and cold), verification (Store at signature beside off), cas (blobs through the gateway) or uploads (the durable queue)",
  )
  .addOption(new Option("--json <file>", "write the figures as JSON too"))
  .addOption(new Option("--targets <list>", "what is loaded").default([...targets], targets.join(",")).argParser(list))
  .addOption(
    new Option("--modes <list>", "storage modes of store").default([...modes], modes.join(",")).argParser(list),
  )
  .addOption(new Option("--in-flight <list>", "calls at a time").default([1, 8, 32], "1,8,32").argParser(numbers))
  .addOption(new Option("--rounds <n>", "measured rounds; the median counts").default(3).argParser(Number))
  .addOption(
    new Option("--calls <n>", "calls of a round at 32 in flight; fewer in proportion to the square root")
      .default(1_000)
      .argParser(Number),
  )
  .addOption(
    new Option("--loads <list>", "loads of cas: 50 KB, 1 MiB, 64 MiB, 1 GiB, memory (default: all)")
      .default([], "all")
      .argParser(list),
  )
  .addOption(new Option("--backlog <n>", "uploads that wait when workers start").default(10_000).argParser(Number))
  .action(run);

async function run(name: string, options: Options): Promise<void> {
  console.error(
    `${os.cpus()[0]?.model ?? "processor"}, ${os.availableParallelism()} cores, Node ${process.versions.node}`,
  );
  if (name === "cas") {
    const figures = await benchCas({ rounds: options.rounds, only: options.loads }, (line) => console.error(line));
    console.log(casTable(figures));
    if (options.json !== undefined) await writeJson(options.json, figures);
    return;
  }
  if (name === "uploads") {
    const { rounds, calls, backlog } = options;
    const figures = await benchUploads({ rounds, calls, backlog }, (line) => console.error(line));
    console.log(uploadsTable(figures));
    if (options.json !== undefined) await writeJson(options.json, figures);
    return;
  }
  const bench = benches[name as keyof typeof benches];
  if (bench === undefined)
    program.error(`there is no bench "${name}"; there are ${[...Object.keys(benches), "cas", "uploads"].join(", ")}`);
  const plan: LoadPlan = {
    inFlight: options.inFlight,
    modes: options.modes,
    rounds: options.rounds,
    callsOf: (inFlight) => Math.ceil(options.calls * Math.sqrt(Math.min(1, inFlight / 32))),
  };
  const figures: Figure[] = [];
  for (const targetName of options.targets) {
    const target = await startTarget(targetName);
    try {
      figures.push(...(await bench(target, plan, (line) => console.error(line))));
    } finally {
      await target.stop();
    }
  }
  console.log(table(figures));
  if (options.json !== undefined) await writeJson(options.json, figures);
}

await program.parseAsync();
