import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

const repository = path.resolve(import.meta.dirname, "../../..");
const sample = "docs/sample/bundle.json";
const defaultAddress = "http://127.0.0.1:7700";

export interface TourStop {
  address: string;
  adminToken: string;
  adminTokenFile: string;
}

/** What the first start prints: where it is, how to get in, and what to try. */
export function welcome({ address, adminToken, adminTokenFile }: TourStop): string {
  const lines = [
    "",
    `  Attestry is ready: ${address}`,
    "",
    `  Admin token (also in ${display(adminTokenFile)}):`,
    `  ${adminToken}`,
    "",
  ];
  if (existsSync(path.join(repository, sample))) {
    lines.push(`  Try it from another terminal, in ${repository}:`, "");
    lines.push(...commands({ address, adminTokenFile }).map((command) => `    ${command}`), "");
  }
  lines.push("  Ctrl-C stops it; what was stored stays.", "");
  return lines.join("\n");
}

/** What later starts print. */
export function welcomeBack({ address, adminTokenFile }: Omit<TourStop, "adminToken">): string {
  return `\n  Attestry is ready: ${address} (admin token: ${display(adminTokenFile)})\n`;
}

/** The variables that the command line needs, and three commands that work as printed. */
function commands({ address, adminTokenFile }: Omit<TourStop, "adminToken">): string[] {
  const digest = createHash("sha256")
    .update(readFileSync(path.join(repository, sample)))
    .digest("hex");
  const attestry = "npm run --silent attestry --";
  return [
    ...(address === defaultAddress ? [] : [`export ATTESTRY_ADDR=${address}`]),
    `export ATTESTRY_TOKEN=$(cat ${quote(adminTokenFile)})`,
    `${attestry} store ${sample} --workflow demo/build`,
    `${attestry} run list`,
    `${attestry} get sha256:${digest}`,
  ];
}

function display(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith("..") ? file : relative;
}

function quote(text: string): string {
  return /^[\w/.:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
