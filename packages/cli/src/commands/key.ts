import { listKeys, removeFormerKey, rotateKey } from "@attestry/service-kit/keys";
import { Argument, type Command } from "commander";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { type Cell, fieldsText, jsonText } from "../output/output.ts";
import { write } from "../output/write.ts";

interface KeyOptions {
  keysDir: string;
  output: string;
}

export function addKeyCommand(program: Command): void {
  const key = program.command("key").description("Signing keys of the services, in their folder: list and rotate them");
  addList(key);
  addRotate(key);
  addRemove(key);
}

function addList(key: Command): void {
  const command = withFolder(key.command("list"))
    .description("The ids of the keys that sign, and of former ones that are still trusted.")
    .action((options: KeyOptions) =>
      withFiles(options, async () => {
        const { signing, former } = await listKeys(options.keysDir);
        return [
          { signing, former },
          { signing: signing.join(" "), former: former.join(" ") },
        ];
      }),
    );
  addExamples(addOutputOption(command, "{signing: [kid], former: [kid]}"), "attestry key list --keys-dir /keys");
}

function addRotate(key: Command): void {
  const command = withFolder(key.command("rotate"))
    .description(
      "Make a new signing key. What the former one signed stays good, until `attestry key remove`. Services read their " +
        "keys when they start: give all of them the new jwks.json first, then the one that signs its new key " +
        "(docs/identity.md). Calls no server.",
    )
    .addArgument(
      new Argument("<service>", "whose key").choices(["workflow-run", "attestation-ingest", "cas-gateway"] as const),
    )
    .action((service: "workflow-run" | "attestation-ingest" | "cas-gateway", options: KeyOptions) =>
      withFiles(options, async () => {
        const { kid, formerKid } = await rotateKey(options.keysDir, service);
        return [
          { kid, formerKid },
          { "signs now": kid, "still trusted": formerKid },
        ];
      }),
    );
  addExamples(addOutputOption(command, "{kid, formerKid}"), "attestry key rotate workflow-run --keys-dir /keys");
}

function addRemove(key: Command): void {
  const command = withFolder(key.command("remove"))
    .description("Trust a former key no longer: what it signed is refused once the services have started again.")
    .argument("<kid>", "its id, as `attestry key list` shows it")
    .action((kid: string, options: KeyOptions) =>
      withFiles(options, async () => {
        if (!(await removeFormerKey(options.keysDir, kid))) {
          const message = `there is no former key ${kid} in ${options.keysDir}; a key that signs must be rotated first`;
          throw new CommandError("KEY_NOT_FOUND", message, { exitCode: exitCodes.notFound });
        }
        return [{ removed: kid }, { removed: kid }];
      }),
    );
  addExamples(addOutputOption(command, "{removed}"), "attestry key remove workflow-run.4f9c... --keys-dir /keys");
}

function withFolder(command: Command): Command {
  return command.requiredOption("--keys-dir <dir>", "folder of all keys, as `attestry bootstrap` makes it");
}

/** Writes what the work answers: as JSON, and as fields. */
async function withFiles(
  { output }: KeyOptions,
  work: () => Promise<[json: object, fields: Record<string, Cell>]>,
): Promise<void> {
  const [json, fields] = await work().catch((cause: unknown) => {
    if (cause instanceof CommandError) throw cause;
    throw new CommandError("FILE_UNWRITABLE", `cannot use the key files: ${(cause as Error).message}`, { cause });
  });
  await write(process.stdout, output === "json" ? jsonText(json) : fieldsText(fields));
}
