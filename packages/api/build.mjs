// Builds what is published, into dist/: JavaScript and declarations, and the proto files beside them.
import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import path from "node:path";

const here = import.meta.dirname;
const root = path.resolve(here, "../..");
const dist = path.join(here, "dist");
rmSync(dist, { recursive: true, force: true });
cpSync(path.join(root, "proto"), path.join(dist, "proto"), { recursive: true });

const tsc = path.join(root, "node_modules/typescript/bin/tsc");
const result = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: here, stdio: "inherit" });
process.exitCode = result.status ?? 1;
