import { Command, CommanderError, Option } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { duration } from "./arguments.ts";
import { addAuditCommand } from "./commands/audit.ts";
import { addBackendCommand } from "./commands/backend.ts";
import { addBackupCommand } from "./commands/backup.ts";
import { addBlobCommand } from "./commands/blob.ts";
import { addBootstrapCommand } from "./commands/bootstrap.ts";
import { addContractCommand } from "./commands/contract.ts";
import { addFederationCommand } from "./commands/federation.ts";
import { addGcCommand } from "./commands/gc.ts";
import { addGetCommand } from "./commands/get.ts";
import { addImportCommand } from "./commands/import.ts";
import { addKeyCommand } from "./commands/key.ts";
import { addListCommand } from "./commands/list.ts";
import { addOrgCommand } from "./commands/org.ts";
import { addProjectCommand } from "./commands/project.ts";
import { addRestoreCommand } from "./commands/restore.ts";
import { addRunCommand } from "./commands/run.ts";
import { addSigningCommand } from "./commands/signing.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addStoreCommand } from "./commands/store.ts";
import { addTokenCommand } from "./commands/token.ts";
import { addTrustCommand } from "./commands/trust.ts";
import { addUploadCommand } from "./commands/upload.ts";
import { addVerifyCommand } from "./commands/verify.ts";
import { addWorkflowCommand } from "./commands/workflow.ts";
import { describeError, exitCodeOf, UsageError } from "./errors.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { write } from "./output/write.ts";

const rootHelp = `
Token:
  --token, else ATTESTRY_TOKEN. If neither is given and the server is on this machine (a loopback address), the
  first token of a standalone server is read from its data directory: ATTESTRY_DATA_DIR, else ./.attestry. So is the
  authority of its certificate, unless --tls-ca names another.

Output:
  Answers go to stdout, as a table or, with -o json, as one JSON object; everything else goes to stderr.
${exitCodesHelp}

Examples:
  $ attestry store bundle.json --workflow web/release
  $ attestry get sha256:6d1e... -o bundle.json
  $ attestry list --subject sha256:9f86... -o json
  $ attestry run list --workflow web/release --state success`;

/** The whole command line. */
export function createProgram(): Command {
  const program = new Command("attestry")
    .description("Keeps the signed attestations of CI pipelines for good: stores, finds and reads them.")
    .version(packageJson.version)
    .addOption(
      new Option("--addr <address>", "address of the server (of attestation-ingest, where services are apart)")
        .env("ATTESTRY_ADDR")
        .default("http://127.0.0.1:7700"),
    )
    .addOption(new Option("--run-addr <address>", "address of workflow-run, if not --addr").env("ATTESTRY_RUN_ADDR"))
    .addOption(new Option("--cas-addr <address>", "address of cas-gateway, if not --addr").env("ATTESTRY_CAS_ADDR"))
    .addOption(
      new Option("--token <token>", "API token (better: ATTESTRY_TOKEN, which shows in no process list)").env(
        "ATTESTRY_TOKEN",
      ),
    )
    .addOption(
      new Option("--tls-ca <file>", "PEM file of the authorities that the server's certificate may come from").env(
        "ATTESTRY_CA_FILE",
      ),
    )
    .addOption(
      new Option("--tls-cert <file>", "PEM file of the certificate to show, if the server asks for one (mTLS)").env(
        "ATTESTRY_CERT_FILE",
      ),
    )
    .addOption(new Option("--tls-key <file>", "PEM file of that certificate's private key").env("ATTESTRY_KEY_FILE"))
    .option("--timeout <duration>", "how long the command may take in all (default: 60s; 15m for files)", duration)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({ outputError: (text, out) => out(readable(text)) })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText("after", rootHelp);
  addStoreCommand(program);
  addGetCommand(program);
  addListCommand(program);
  addVerifyCommand(program);
  addRunCommand(program);
  addWorkflowCommand(program);
  addContractCommand(program);
  addProjectCommand(program);
  addBackendCommand(program);
  addUploadCommand(program);
  addGcCommand(program);
  addBlobCommand(program);
  addOrgCommand(program);
  addTrustCommand(program);
  addSigningCommand(program);
  addTokenCommand(program);
  addFederationCommand(program);
  addAuditCommand(program);
  addStatusCommand(program);
  addBootstrapCommand(program);
  addKeyCommand(program);
  addBackupCommand(program);
  addRestoreCommand(program);
  addImportCommand(program);
  return program;
}

/** The parser's words for a bad argument, as a person would say it. */
function readable(text: string): string {
  return text.replace(
    /^error: command-argument value '(.*)' is invalid for argument '(.*?)'\./s,
    "error: <$2> is invalid: '$1'.",
  );
}

/** Runs one command and returns its exit code; errors are on stderr by then. `args` are without node and script. */
export async function runCli(args: readonly string[]): Promise<number> {
  // `attestry list | head` is no fault.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  try {
    await createProgram().parseAsync(args, { from: "user" });
    return exitCodes.ok;
  } catch (error) {
    // The parser has printed its own message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return exitCodes.ok;
    const usage = error instanceof UsageError ? "hint: --help shows what the command takes\n" : "";
    await write(process.stderr, describeError(error) + usage);
    return exitCodeOf(error);
  }
}
