import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What openssl makes in a folder that is removed afterwards: files by name. */
export async function openssl(
  files: Record<string, string>,
  ...commands: string[][]
): Promise<(name: string) => string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), "attestry-openssl-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir, name), text);
    for (const args of commands) await run("openssl", args, { cwd: dir });
    const names = commands.flat().filter((arg) => arg.endsWith(".pem"));
    const texts = new Map<string, string>();
    for (const name of names) texts.set(name, await readFile(path.join(dir, name), "utf8"));
    return (name) => texts.get(name) ?? "";
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** A signing request in PEM of a new key, `newkey` as openssl's `-newkey` has it, which asks for `subject`. */
export async function requestOf(newkey: string[], subject = "/CN=a job", ...more: string[]): Promise<string> {
  return (await keyAndRequest(newkey, subject, ...more)).request;
}

/** The same with the key, in PEM too. */
export async function keyAndRequest(newkey: string[], subject = "/CN=a job", ...more: string[]) {
  const made = await openssl({}, [
    ...["req", "-new", "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-subj", subject],
    ...["-newkey", ...newkey, ...more],
  ]);
  return { key: made("key.pem"), request: made("request.pem") };
}

export const p256 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
