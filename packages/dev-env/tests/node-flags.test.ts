import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { nodeFlags } from "../src/node-flags.ts";

const root = path.resolve(import.meta.dirname, "../../..");

test.each(["package.json", "Dockerfile"])("%s starts Node with the same flags", async (file) => {
  const text = await readFile(path.join(root, file), "utf8");
  for (const flag of nodeFlags) expect(text).toContain(flag);
});
