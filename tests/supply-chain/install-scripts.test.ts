import { expect, test } from "@jest/globals";
import { installedPackages } from "./src/installed.ts";
import { readText, readYaml } from "./src/root.ts";

const workspace = readYaml<{ allowBuilds: Record<string, boolean>; strictDepBuilds: boolean }>("pnpm-workspace.yaml");

test("each installed package that would run something on install was looked at: it may, or it may not", () => {
  const running = installedPackages().filter(({ runsOnInstall }) => runsOnInstall);
  // There are some, so the search finds what it looks for.
  expect(running.map(({ name }) => name)).toContain("esbuild");
  expect(running.filter(({ name }) => workspace.allowBuilds[name] === undefined)).toEqual([]);
});

test("an install with one that was not looked at fails", () => {
  expect(workspace.strictDepBuilds).toBe(true);
});

test("what was looked at is still used", () => {
  const lockfile = readText("pnpm-lock.yaml");
  const gone = Object.keys(workspace.allowBuilds).filter((name) => !lockfile.includes(`${name}@`));
  expect(gone).toEqual([]);
});

test("images run no install script", () => {
  const production = /pnpm install --prod[^\n]*/.exec(readText("Dockerfile"))?.[0];
  expect(production).toContain("--ignore-scripts");
  expect(production).toContain("--frozen-lockfile");
});
