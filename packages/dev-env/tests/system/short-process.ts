import { spawn } from "node:child_process";
import path from "node:path";
import type { ServiceName } from "@attestry/service-kit";

const services = path.resolve(import.meta.dirname, "../../../../services");

export interface ShortProcess {
  service: ServiceName;
  args?: readonly string[];
  env: NodeJS.ProcessEnv;
  /** What it writes when there is no more to wait for, for one that does not end by itself. */
  until?: RegExp;
}

/** All that a service writes until it has ended, or has written what is waited for; 30 s at most. */
export async function outputOf({ service, args = [], env, until }: ShortProcess): Promise<string> {
  const main = path.join(services, service, "src/main.ts");
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const giveUp = setTimeout(() => child.kill("SIGKILL"), 30_000);
  let written = "";
  function keep(chunk: string): void {
    written += chunk;
    if (until?.test(written)) child.kill("SIGTERM");
  }
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(giveUp);
  return written;
}
