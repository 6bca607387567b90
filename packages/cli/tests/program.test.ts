import { expect, test } from "@jest/globals";
import type { Command } from "commander";
import { createProgram } from "../src/program.ts";

// The parser would give such an option to the program, and the command would never see it.
test("no command has an option of the same name as one of the program's", () => {
  const program = createProgram();
  const names = ({ options }: Command) =>
    options.flatMap(({ long, short }) => [long, short]).filter((name) => name !== undefined && name !== null);
  const ofProgram = new Set(names(program));
  const commands: Command[] = [...program.commands];
  const shared: string[] = [];
  for (const command of commands) {
    commands.push(...command.commands);
    shared.push(...names(command).flatMap((name) => (ofProgram.has(name) ? [`${command.name()} ${name}`] : [])));
  }
  expect(commands.length).toBeGreaterThan(40);
  expect(shared).toEqual([]);
});
