// Generates what is not committed: the protobuf stubs and the Prisma clients. Does nothing if their sources are
// unchanged since the last time, so that every install and start may call it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const stamp = path.join(root, "node_modules/.cache/attestry-generated");

const targets = [
  {
    name: "protobuf stubs",
    sources: ["proto/**/*.proto", "buf.yaml", "buf.gen.yaml"],
    output: "packages/api/src/gen",
    command: ["buf", ["generate"], root],
  },
  {
    name: "protobuf stubs of chainloop",
    sources: ["packages/chainloop-compat/proto/**/*.proto", "buf.yaml", "buf.gen.chainloop.yaml"],
    output: "packages/chainloop-compat/src/gen",
    command: ["buf", ["generate", "--template", "buf.gen.chainloop.yaml"], root],
  },
  ...globSync("services/*/prisma/schema.prisma", { cwd: root }).map((schema) => {
    const service = path.dirname(path.dirname(schema));
    return {
      name: `Prisma client of ${path.basename(service)}`,
      sources: [schema],
      output: path.join(service, "src/db/client"),
      command: ["prisma", ["generate"], path.join(root, service)],
    };
  }),
];

const done = existsSync(stamp) ? JSON.parse(readFileSync(stamp, "utf8")) : {};
for (const { name, sources, output, command } of targets) {
  const hash = createHash("sha256");
  const files = globSync([...sources, "scripts/generate.mjs", "pnpm-workspace.yaml", "package.json"], { cwd: root });
  for (const file of files.sort()) hash.update(file).update(readFileSync(path.join(root, file)));
  const digest = hash.digest("hex");
  if (done[output] === digest && existsSync(path.join(root, output))) continue;

  const [program, args, cwd] = command;
  const bin = [cwd, root].map((dir) => path.join(dir, "node_modules/.bin")).join(path.delimiter);
  const result = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: bin + path.delimiter + process.env.PATH,
      // The generator never calls the schema engine, but looks for it and would download it.
      PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true",
      PRISMA_HIDE_UPDATE_MESSAGE: "1",
      CHECKPOINT_DISABLE: "1",
    },
  });
  if (result.status !== 0) {
    console.error(`could not generate the ${name}:\n${result.error ?? ""}${result.stdout}${result.stderr}`);
    process.exitCode = 1;
    break;
  }
  done[output] = digest;
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, JSON.stringify(done));
}
