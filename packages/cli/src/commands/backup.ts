import { type Backup, backUp } from "@attestry/data-dir";
import type { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { addDataDirOption, copyProgress, withoutServer } from "../local-work.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { fieldsText, jsonText } from "../output/output.ts";
import { printable } from "../output/printable.ts";
import { write } from "../output/write.ts";

export function addBackupCommand(program: Command): void {
  const command = program
    .command("backup")
    .summary("copy the data directory of a standalone server that is stopped")
    .description(
      "Copy the data directory of a standalone server (`npm start`) that is stopped to a new folder, which gets its " +
        "name only when all of it is on disk. It has the server's keys, secrets and first token. Calls no server, and " +
        "takes what time it needs unless --timeout is given. " +
        "Services that run apart are backed up by other means: docs/backup.md.",
    )
    .argument("<target>", "folder to make; nothing may be there")
    .action((target: string, options: { dataDir: string; output: string }, self: Command) =>
      backup(self, target, options),
    );
  addExamples(
    addOutputOption(
      addDataDirOption(command),
      "{target, createdAt, attestryVersion, files, folders, bytes, list: {size, digest}, dataDirs: [folder], elsewhere: [secret reference], leftovers: [folder]}",
    ),
    "attestry backup /backups/attestry-2026-11-25",
    "attestry backup --data-dir /var/lib/attestry /backups/attestry-2026-11-25 -o json",
  );
}

async function backup(
  command: Command,
  target: string,
  { dataDir, output }: { dataDir: string; output: string },
): Promise<void> {
  const { stop, ...progress } = copyProgress();
  const made = await withoutServer(command, (signal) =>
    backUp({ dataDir, target, attestryVersion: packageJson.version, signal, ...progress }).finally(stop),
  );
  await write(process.stdout, output === "json" ? jsonText(made) : fieldsText(fieldsOf(made)));
  for (const note of notesOf(made)) await write(process.stderr, `${printable(note)}\n`);
}

function fieldsOf({ target, createdAt, files, bytes }: Backup) {
  return { backup: target, created: createdAt, files, bytes: bytesCell(bytes) };
}

function notesOf({ target, elsewhere, leftovers }: Backup): string[] {
  const apart = elsewhere.map(
    (ref) => `not in the backup: what is stored behind the secret ${ref}, which is elsewhere`,
  );
  const left = leftovers.map((folder) => `unless another backup is at work: ${folder} is left of one that was killed`);
  return [`${target} holds keys, secrets and the first token: keep it as safe as the server`, ...apart, ...left];
}
