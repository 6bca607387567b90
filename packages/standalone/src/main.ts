import { createRequire } from "node:module";
import { StartFailure } from "@attestry/data-dir";
import { reportCrashes, SettingError } from "@attestry/service-kit";
import { Command, Option } from "commander";
import { type Standalone, startStandalone } from "./index.ts";
import { readListenAddress } from "./listen.ts";
import { notAdopted, welcome, welcomeBack } from "./tour.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

const program = new Command("npm start --")
  .description("Attestry in one process: three services on one port, with PostgreSQL and storage in one folder")
  .version(version)
  .addOption(new Option("--listen <HOST:PORT>", "where to serve").env("ATTESTRY_LISTEN").default("127.0.0.1:7700"))
  .addOption(
    new Option("--data-dir <FOLDER>", "where to keep all data").env("ATTESTRY_DATA_DIR").default("./.attestry"),
  )
  .option("--tls", "serve with TLS: with tls/cert.pem and tls/key.pem of the data folder, made if absent (docs/tls.md)")
  .option("--plaintext", "serve without TLS though other machines reach it: when something in front of it speaks TLS")
  .option("--adopt", "let a restored copy delete, as retention asks: after you have looked at it (docs/backup.md)")
  .addHelpText("after", "\nAll other settings are environment variables: docs/settings.md")
  .allowExcessArguments(false)
  // As the command line `attestry` does: 2 for a call that is wrong.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .action(main);

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

reportCrashes("attestry");
await program.parseAsync();

interface Options {
  listen: string;
  dataDir: string;
  tls?: boolean;
  plaintext?: boolean;
  adopt?: boolean;
}

async function main(options: Options): Promise<void> {
  // From here on a signal is handled in order, also one that comes while the server is still starting.
  const asked = Promise.withResolvers<void>();
  let stopping = false;
  const stop = () => {
    stopping = true;
    asked.resolve();
  };
  for (const signal of signals) process.on(signal, stop);

  try {
    const standalone = await startStandalone({ ...options, listen: readListenAddress(options.listen) });
    process.stdout.write(
      `${standalone.firstStart ? welcome(tourStop(standalone)) : welcomeBack(tourStop(standalone))}\n`,
    );
    if (standalone.restored) process.stdout.write(`${notAdopted}\n`);
    const failure = await Promise.race([asked.promise, standalone.failed]);
    await standalone.stop();
    if (failure !== undefined) throw failure;
  } catch (error) {
    // Ctrl-C reaches what a start is made of, too: that it then fails is no news.
    if (!(stopping && error instanceof StartFailure)) report(error);
    process.exitCode = 1;
  }
  for (const signal of signals) process.off(signal, stop);
}

function tourStop({ url, adminToken, adminTokenFile, trustFile }: Standalone) {
  return { address: reachable(url), adminToken, adminTokenFile, trustFile };
}

/** A server that listens on all addresses is reached at the loopback one. */
function reachable(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

/** What the operator can mend is one line; anything else is a bug, and its stack helps. */
function report(error: unknown): void {
  const expected = error instanceof StartFailure || error instanceof SettingError;
  process.stderr.write(`attestry: ${expected ? error.message : ((error as Error).stack ?? String(error))}\n`);
}
