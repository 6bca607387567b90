import type { Command } from "commander";
import { addBlobGet } from "./blob-get.ts";
import { addBlobLink } from "./blob-link.ts";
import { addBlobPut } from "./blob-put.ts";
import { addBlobSync } from "./blob-sync.ts";

export function addBlobCommand(program: Command): void {
  const blob = program
    .command("blob")
    .description("materials in the organization's CAS, by digest; needs an external backend");
  addBlobPut(blob);
  addBlobGet(blob);
  addBlobSync(blob);
  addBlobLink(blob);
}
