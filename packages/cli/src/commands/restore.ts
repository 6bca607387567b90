import { restore } from "@attestry/data-dir";
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
        "name only when all was right and is on disk. Tokens revoked since the backup are valid again. Calls no server.",
    )
    .argument("<backup>", "folder that `attestry backup` made")
    .action((from: string, options: { dataDir: string; output: string }, self: Command) =>
      restoreTo(self, from, options),
    );
  addExamples(
    addOutputOption(
      addDataDirOption(command),
      "{dataDir, createdAt, attestryVersion, files, folders, bytes, list: {size, digest}, leftovers: [folder]}",
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
  for (const folder of made.leftovers) {
    const note = `unless another restore is at work: ${folder} is left of one that was killed`;
    await write(process.stderr, `${printable(note)}\n`);
  }
}
