import { execFileSync } from "node:child_process";
import path from "node:path";
import { expect, test } from "@jest/globals";
import satisfies from "spdx-satisfies";
import { root } from "./src/root.ts";

/** Licences under which a dependency may be passed on with Attestry, by their SPDX identifiers. */
const allowed = [
  "MIT",
  "MIT-0",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "Unlicense",
];

/** Others, each with the reason why it may be there. */
const exceptions: Record<string, string> = {
  "caniuse-lite": "CC-BY-4.0: data that jest brings along; in no image",
};

interface Dependency {
  name: string;
  versions: string[];
  license: string;
}

/** Of all packages of the workspace: more than what images have, since tests are packages too. */
function productionDependencies(): Dependency[] {
  const pnpm = path.join(root, "node_modules/.bin/pnpm");
  const listed = execFileSync(pnpm, ["--recursive", "licenses", "list", "--prod", "--json"], { cwd: root });
  return Object.values(JSON.parse(listed.toString()) as Record<string, Dependency[]>).flat();
}

function isAllowed({ name, license }: Dependency): boolean {
  try {
    return satisfies(license, allowed) || exceptions[name] !== undefined;
  } catch {
    // "Unknown", "SEE LICENSE IN ...": no expression.
    return exceptions[name] !== undefined;
  }
}

test("every production dependency has a licence of the list", () => {
  const dependencies = productionDependencies();
  const names = dependencies.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["@connectrpc/connect-node", "jose", "pg", "pino"]));
  expect(dependencies.filter((dependency) => !isAllowed(dependency))).toEqual([]);
  expect(Object.keys(exceptions).filter((name) => !names.includes(name))).toEqual([]);
});

test.each(["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "SSPL-1.0", "Unknown", "SEE LICENSE IN file"])(
  "%s is not one of them",
  (license) => {
    expect(isAllowed({ name: "some", versions: ["1.0.0"], license })).toBe(false);
  },
);
