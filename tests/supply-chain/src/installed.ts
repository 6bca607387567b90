import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { root } from "./root.ts";

/** What a package says of itself. */
export interface Manifest {
  name: string;
  version: string;
  scripts?: Record<string, string>;
}

export interface InstalledPackage extends Manifest {
  /** Whether installing it would run something: a script, or a compiler for what it has in C. */
  runsOnInstall: boolean;
}

const store = path.join(root, "node_modules/.pnpm");
const installScripts = ["preinstall", "install", "postinstall"];

/** Every package that is installed in the workspace, of development too. */
export function installedPackages(): InstalledPackage[] {
  return readdirSync(store)
    .map((entry) => path.join(store, entry, "node_modules"))
    .filter((folder) => existsSync(folder))
    .flatMap(packagesIn);
}

function packagesIn(folder: string): InstalledPackage[] {
  const names = readdirSync(folder).flatMap((name) =>
    name.startsWith("@") ? readdirSync(path.join(folder, name)).map((scoped) => `${name}/${scoped}`) : [name],
  );
  return names.flatMap((name) => {
    const dir = path.join(folder, name);
    // A link leads to a dependency, which is listed where it is.
    if (lstatSync(dir).isSymbolicLink() || !existsSync(path.join(dir, "package.json"))) return [];
    const manifest = JSON.parse(readFileSync(path.join(dir, "package.json"), "utf8")) as Manifest;
    const hasScript = installScripts.some((script) => manifest.scripts?.[script] !== undefined);
    return [{ ...manifest, runsOnInstall: hasScript || existsSync(path.join(dir, "binding.gyp")) }];
  });
}
