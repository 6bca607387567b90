import { globSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { readText, readYaml, root } from "./src/root.ts";

interface Lockfile {
  packages: Record<string, { resolution: Record<string, string> }>;
}

interface PackageFile {
  private?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const exact = /^\d+\.\d+\.\d+(-[\w.-]+)?$/;

test("each package comes from the registry, with the digest of its content", () => {
  const packages = Object.entries(readYaml<Lockfile>("pnpm-lock.yaml").packages);
  expect(packages.length).toBeGreaterThan(100);
  const others = packages.filter(([, { resolution }]) => {
    const { integrity = "", ...more } = resolution;
    return !integrity.startsWith("sha512-") || Object.keys(more).length > 0;
  });
  expect(others).toEqual([]);
});

test("versions are exact: in the catalog, and in each package that is not published", () => {
  const { catalog } = readYaml<{ catalog: Record<string, string> }>("pnpm-workspace.yaml");
  const files = globSync("{package.json,bench/package.json,{packages,services,tests}/*/package.json}", { cwd: root });
  expect(files.length).toBeGreaterThan(10);
  const asked = files.flatMap((file) => {
    const { private: isPrivate, dependencies, devDependencies } = JSON.parse(readText(file)) as PackageFile;
    const wanted = Object.entries({ ...(isPrivate === true && dependencies), ...devDependencies });
    return wanted.map(([name, version]) => `${file} ${name} ${version}`);
  });
  const all = [...asked, ...Object.entries(catalog).map(([name, version]) => `catalog ${name} ${version}`)];
  expect(all.filter((line) => !isPinned(line.split(" ").at(-1) ?? ""))).toEqual([]);
});

function isPinned(version: string): boolean {
  return version === "catalog:" || version.startsWith("workspace:") || exact.test(version);
}

test("CI installs what the lockfile says, and nothing else", () => {
  const { scripts } = JSON.parse(readText("package.json")) as { scripts: Record<string, string> };
  expect(scripts["install:all"]).toContain("--frozen-lockfile");
  expect(readText(".ci/run")).toContain("npm run --silent install:all");
});
