import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

const repository = path.resolve(import.meta.dirname, "../../..");
const sample = "docs/sample/bundle.json";
const defaultAddress = "http://127.0.0.1:7700";

export interface TourStop {
  address: string;
  adminToken: string | undefined;
  adminTokenFile: string;
  /** What clients need to trust the server's certificate; undefined: nothing. */
  trustFile: string | undefined;
}

/** What the first start prints: where it is, how to get in, and what to try. */
export function welcome({ address, adminToken, adminTokenFile, trustFile }: TourStop): string {
  const lines = [
    "",
    `  Attestry is ready: ${address}`,
    "",
    `  Admin token (also in ${display(adminTokenFile)}):`,
    `  ${adminToken ?? "revoked"}`,
    "",
  ];
  const variables = {
    ...(address !== defaultAddress && { ATTESTRY_ADDR: address }),
    ...(trustFile !== undefined && { ATTESTRY_CA_FILE: quote(trustFile) }),
  };
  lines.push(...tour(variables, adminTokenFile), "  Ctrl-C stops it; what was stored stays.", "");
  return lines.join("\n");
}

/** What later starts print. */
export function welcomeBack({ address, adminTokenFile, trustFile }: Omit<TourStop, "adminToken">): string {
  const trust = trustFile === undefined ? "" : `; clients trust it with ATTESTRY_CA_FILE=${display(trustFile)}`;
  return `\n  Attestry is ready: ${address} (admin token: ${display(adminTokenFile)}${trust})\n`;
}

/** What a start on a restored copy prints beside that, until somebody adopts it. */
export const notAdopted =
  "  Restored from a backup: nothing is deleted until you start it with --adopt. First revoke again the tokens that were " +
  "revoked since the backup, and see with `attestry org get` that retention is what you want (docs/backup.md).\n";

/** What to try, ready to be printed. */
export function tour(variables: Record<string, string>, adminTokenFile: string): string[] {
  const commands = tryCommands(variables, adminTokenFile).map((command) => `    ${command}`);
  return [`  Try it from another terminal, in ${repository}:`, "", ...commands, ""];
}

/** Sets the variables of the command line, and three commands that work as printed. */
function tryCommands(variables: Record<string, string>, adminTokenFile: string): string[] {
  const digest = createHash("sha256")
    .update(readFileSync(path.join(repository, sample)))
    .digest("hex");
  const attestry = "npm run --silent attestry --";
  return [
    ...Object.entries(variables).map(([variable, value]) => `export ${variable}=${value}`),
    `export ATTESTRY_TOKEN=$(cat ${quote(adminTokenFile)})`,
    `${attestry} store ${sample} --workflow demo/build`,
    `${attestry} run list`,
    `${attestry} get sha256:${digest} -o json`,
  ];
}

function display(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith("..") ? file : relative;
}

function quote(text: string): string {
  return /^[\w/.:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
