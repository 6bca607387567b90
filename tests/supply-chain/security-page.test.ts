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

/** Whether a file has tests that are not skipped: its own, or a suite (`attackSuite(...)`) that others run too. */
function runsTests(source: string): boolean {
  return /^(?! *\/\/).*\b(test(\.each)?|\w+Suite)\(/m.test(source);
}

test.each([
  ['test("x", () => {});', true],
  ['  test.each(cases)("x", () => {});', true],
  ['describe("x", () => writeSuite(folder));', true],
  ['test.skip("x", () => {});', false],
  ['// test("x", () => {});', false],
  ["import { writeSuite } from './write-suite.ts';", false],
  ["", false],
])("%j has tests: %s", (source, expected) => {
  expect(runsTests(source)).toBe(expected);
});

describe("the table of attacks", () => {
  test("has rows", () => {
    expect(rows.length).toBeGreaterThan(30);
  });

  test.each(rows)("$attack: the tests that try it are there", ({ tests }) => {
    expect(tests).not.toEqual([]);
    for (const link of tests) {
      expect(link).toMatch(/\.test\.ts$/);
      const file = path.join(path.dirname(page), link);
      expect(existsSync(path.join(root, file)) ? "there" : link).toBe("there");
      // A row that names an emptied or skipped file would promise what nothing tries.
      expect(runsTests(readText(file)) ? "has tests" : link).toBe("has tests");
    }
  });

  test.each(rows.filter(({ stopped }) => stopped.length > 0))("$attack: what stops it is there", ({ stopped }) => {
    for (const file of stopped) expect(existsSync(path.join(root, file)) ? "there" : file).toBe("there");
  });
});
