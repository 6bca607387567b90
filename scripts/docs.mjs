// Writes the pages that are made from code: docs/settings.md and docs/errors.md. With --check it only compares, and looks
// whether what pages refer to is there.
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ownReasons } from "../packages/cli/src/own-reasons.ts";
import { Code } from "../packages/service-kit/node_modules/@connectrpc/connect/dist/esm/index.js";
import { reasons } from "../packages/service-kit/src/index.ts";
import { settings as standalone } from "../packages/standalone/src/settings.ts";
import { settings as ingest } from "../services/attestation-ingest/src/config.ts";
import { settings as cas } from "../services/cas-gateway/src/config.ts";
import { settings as run } from "../services/workflow-run/src/config.ts";

const root = path.resolve(import.meta.dirname, "..");
const docs = path.join(root, "docs");

function settingsPage() {
  const services = { "workflow-run": run, "attestation-ingest": ingest, "cas-gateway": cas };
  const rows = new Map();
  for (const [service, settings] of Object.entries(services)) {
    for (const setting of Object.values(settings)) {
      const row = rows.get(setting.env) ?? { setting, of: [] };
      row.of.push(service);
      rows.set(setting.env, row);
    }
  }
  const lines = [...rows.values()].map(({ setting, of }) => {
    const whose = of.length === 3 ? "all" : of.join(", ");
    return `| \`${setting.env}\` | ${whose} | ${shown(setting)} | ${setting.doc}; ${setting.form} |`;
  });
  return [
    "# Settings",
    "",
    "Services read their settings from the environment; a value that cannot be read ends the start with one line that names",
    `it. \`npm start\` sets the databases, keys, secrets and peers itself and takes all others; its \`LOG_LEVEL\` is \`${standalone.logLevel.default}\``,
    "unless it is set. It has two of its own, each also a flag:",
    "",
    "| variable | flag | default | meaning |",
    "| --- | --- | --- | --- |",
    "| `ATTESTRY_LISTEN` | `--listen` | `127.0.0.1:7700` | Address to serve on, HOST:PORT |",
    "| `ATTESTRY_DATA_DIR` | `--data-dir` | `./.attestry` | Folder of all its data |",
    "",
    "`--tls` serves with TLS, `--plaintext` without it though other machines reach it ([tls.md](tls.md)).",
    "",
    "The command line reads `ATTESTRY_ADDR`, `ATTESTRY_RUN_ADDR`, `ATTESTRY_CAS_ADDR`, `ATTESTRY_TOKEN`, `ATTESTRY_CA_FILE`,",
    "`ATTESTRY_CERT_FILE` and `ATTESTRY_KEY_FILE`; see `attestry --help`.",
    "",
    "| variable | service | default | meaning |",
    "| --- | --- | --- | --- |",
    ...lines,
    "",
  ].join("\n");
}

function shown(setting) {
  if (!("default" in setting)) return "must be set";
  const value = setting.default;
  if (value === undefined || value === "") return "unset";
  if (typeof value === "object") return `\`${value.host}:${value.port}\``;
  if (setting.form.startsWith("a duration")) return `\`${duration(value)}\``;
  return `\`${value}\``;
}

function duration(ms) {
  for (const [unit, size] of Object.entries({ d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 })) {
    if (ms % size === 0 && ms > 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

function errorsPage() {
  const byCode = Map.groupBy(Object.entries(reasons), ([, code]) => code);
  const lines = [...byCode]
    .sort(([a], [b]) => a - b)
    .map(
      ([code, entries]) =>
        `| \`${grpcName(code)}\` (${code}) | ${entries.map(([reason]) => `\`${reason}\``).join(", ")} |`,
    );
  return [
    "# Errors",
    "",
    "Every error has a Connect (gRPC) code, a message that says what was expected and what came, and a `google.rpc.ErrorInfo`",
    "with a stable `reason`, the domain `attestry.dev` and the values that the message speaks of. An error with",
    "`google.rpc.RetryInfo` passes: try again after the delay that it names. One without does not, whatever its code.",
    "The answer's `x-request-id` finds the call in the logs. Which method can give which reason stands in the protos; what is refused",
    "on the headers of any call (who calls, and how often) does not: `TOKEN_...`, `ROLE_INSUFFICIENT`, `RATE_LIMITED`.",
    "",
    "| code | reasons |",
    "| --- | --- |",
    ...lines,
    "",
    "## Of the command line",
    "",
    "`attestry` has reasons of its own for what it finds without a server, printed in the same place; `attestry --help` has its",
    "exit codes.",
    "",
    "| reason | meaning |",
    "| --- | --- |",
    ...Object.entries(ownReasons).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`),
    "",
  ].join("\n");
}

function grpcName(code) {
  return Code[code]
    .replace(/(?<=[a-z])(?=[A-Z])/g, "_")
    .toUpperCase()
    .replace("CANCELED", "CANCELLED");
}

for (const [name, page] of Object.entries({ "settings.md": settingsPage(), "errors.md": errorsPage() })) {
  const file = path.join(docs, name);
  if (existsSync(file) && readFileSync(file, "utf8") === page) continue;
  if (process.argv.includes("--check")) fail(`docs/${name} is not what the code says; run "npm run docs"`);
  else writeFileSync(file, page);
}
if (process.argv.includes("--check")) {
  const pages = ["README.md", "SECURITY.md", "docs/**/*.md", "deploy/README.md", "packages/*/README.md"];
  for (const page of globSync(pages, { cwd: root })) checkLinks(page);
  checkSampleDigest();
}

function fail(line) {
  console.error(line);
  process.exitCode = 1;
}

/** Links to places outside and to headings of the same page are not looked at. */
function checkLinks(page) {
  const text = readFileSync(path.join(root, page), "utf8").replace(/^```[\s\S]*?^```/gm, "");
  for (const [, link] of text.matchAll(/\]\(([^)\s]+)[^)]*\)/g)) {
    if (/^([a-z]+:|#)/i.test(link)) continue;
    const target = path.resolve(root, path.dirname(page), decodeURI(link.replace(/#.*/, "")));
    if (!existsSync(target)) fail(`${page} links to ${link}, which is not there`);
  }
}

/** The tour reads the sample back by its digest. */
function checkSampleDigest() {
  const sample = readFileSync(path.join(docs, "sample/bundle.json"));
  const digest = `sha256:${createHash("sha256").update(sample).digest("hex")}`;
  for (const [found] of readFileSync(path.join(root, "README.md"), "utf8").matchAll(/sha256:[0-9a-f]{64}/g)) {
    if (found !== digest) fail(`README.md has ${found}, but docs/sample/bundle.json has ${digest}`);
  }
}
