// Builds what is published, into dist/: the command as one file with everything in it, so that it installs alone.
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const dist = path.join(here, "dist");
const manifest = JSON.parse(await readFile(path.join(here, "package.json"), "utf8"));

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await build({
  entryPoints: [path.join(here, "src/main.ts")],
  outfile: path.join(dist, "attestry.js"),
  bundle: true,
  platform: "node",
  target: "node22",
  format: "esm",
  legalComments: "none",
  // Dependencies in CommonJS call require for Node's own modules.
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
});
await chmod(path.join(dist, "attestry.js"), 0o755);
await copyFile(path.join(here, "README.md"), path.join(dist, "README.md"));

const { name, version, description, license } = manifest;
const published = {
  name,
  version,
  description,
  license,
  type: "module",
  bin: { attestry: "./attestry.js" },
  files: ["attestry.js", "README.md"],
  engines: { node: ">=22" },
};
await writeFile(path.join(dist, "package.json"), `${JSON.stringify(published, undefined, 2)}\n`);
