import { existsSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readText, root } from "./src/root.ts";

const page = "docs/security.md";

interface Row {
  attack: string;
  /** Files in code, such as `errors/reasons.ts`. */
  stopped: string[];
  /** Links, from the page. */
  tests: string[];
}

const rows: Row[] = readText(page)
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| attack |") && !line.startsWith("| --- |"))
  .map((line) => {
    const [attack = "", stopped = "", tried = ""] = line.slice(1, -1).split("|");
    return {
      attack: attack.trim(),
      stopped: [...stopped.matchAll(/`((?:packages|services|tests)\/[^`]+)`/g)].map((match) => match[1] ?? ""),
      tests: [...tried.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? ""),
    };
  });

describe("the table of attacks", () => {
  test("has rows", () => {
    expect(rows.length).toBeGreaterThan(30);
  });

  test.each(rows)("$attack: the tests that try it are there", ({ tests }) => {
    expect(tests).not.toEqual([]);
    for (const link of tests) {
      expect(link).toMatch(/\.test\.ts$/);
      expect(existsSync(path.join(root, path.dirname(page), link)) ? "there" : link).toBe("there");
    }
  });

  test.each(rows.filter(({ stopped }) => stopped.length > 0))("$attack: what stops it is there", ({ stopped }) => {
    for (const file of stopped) expect(existsSync(path.join(root, file)) ? "there" : file).toBe("there");
  });
});
