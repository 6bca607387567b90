import type { Command } from "commander";
import { addImportChainloop } from "./import-chainloop.ts";

export function addImportCommand(program: Command): void {
  const command = program.command("import").description("Move to Attestry what another system keeps.");
  addImportChainloop(command);
}
