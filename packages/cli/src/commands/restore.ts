import { type Restored, restore } from "@attestry/data-dir";
import type { Command } from "commander";
import { addDataDirOption, copyProgress, withoutServer } from "../local-work.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { fieldsText, jsonText } from "../output/output.ts";
import { printable } from "../output/printable.ts";
import { write } from "../output/write.ts";

export function addRestoreCommand(program: Command): void {
  const command = program
    .command("restore")
    .summary("make a data directory of a backup")
    .description(
      "Make the data directory of a standalone server of a backup. Every byte is checked, and the directory gets its " +
        "name only when all was right and is on disk. Tokens revoked since the backup are valid again, and a server started " +
        "on it deletes nothing until `npm start -- --adopt`: docs/backup.md. Calls no server.",
    )
    .argument("<backup>", "folder that `attestry backup` made")
    .action((from: string, options: { dataDir: string; output: string }, self: Command) =>
      restoreTo(self, from, options),
    );
  addExamples(
    addOutputOption(
      addDataDirOption(command),
      "{dataDir, createdAt, attestryVersion, files, folders, bytes, list: {size, digest}, dataDirs: [folder], moved: [secret reference], elsewhere: [secret reference], leftovers: [folder]}",
    ),
    "attestry restore /backups/attestry-2026-11-25 --data-dir /var/lib/attestry",
  );
}

async function restoreTo(
  command: Command,
  backup: string,
  { dataDir, output }: { dataDir: string; output: string },
): Promise<void> {
  const { stop, ...progress } = copyProgress();
  const made = await withoutServer(command, (signal) =>
    restore({ backup, dataDir, signal, ...progress }).finally(stop),
  );
  const { createdAt, files, bytes } = made;
  const fields = { "data directory": made.dataDir, "backup of": createdAt, files, bytes: bytesCell(bytes) };
  await write(process.stdout, output === "json" ? jsonText(made) : fieldsText(fields));
  for (const note of notesOf(made)) await write(process.stderr, `${printable(note)}\n`);
}

function notesOf({ dataDir, createdAt, elsewhere, leftovers }: Restored): string[] {
  return [
    ...elsewhere.map(
      (ref) =>
        `not of the backup: what is stored behind the secret ${ref}; the server that was backed up may use it still`,
    ),
    ...leftovers.map((folder) => `unless another restore is at work: ${folder} is left of one that was killed`),
    `tokens revoked since ${createdAt} are valid again: revoke them anew`,
    `next: npm start -- --data-dir ${quoted(dataDir)}; it deletes nothing until it is started with --adopt as well`,
  ];
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w/.:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
