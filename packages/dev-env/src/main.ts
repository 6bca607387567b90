import { Command } from "commander";
import { report, runDev } from "./dev.ts";

const program = new Command("npm run dev --")
  .description(
    "Attestry as three processes on one machine, with PostgreSQL, and Redis and MinIO where the machine has them.\n" +
      "All data is in ./.attestry-dev. Settings are environment variables: docs/settings.md",
  )
  .allowExcessArguments(false)
  .showHelpAfterError()
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .action(main);

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

await program.parseAsync();

async function main(): Promise<void> {
  const asked = Promise.withResolvers<void>();
  const stop = () => asked.resolve();
  for (const signal of signals) process.on(signal, stop);
  try {
    await runDev(asked.promise);
  } catch (error) {
    report(error);
    process.exitCode = 1;
  }
  for (const signal of signals) process.off(signal, stop);
}
