import type { Constellation } from "@attestry/dev-env/constellation";
import { attestry, type CliOptions, type CliResult } from "./run-cli.ts";

/** The command as an admin of a constellation has it. */
export function cliOf(constellation: Constellation) {
  function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const env = {
      ATTESTRY_ADDR: constellation.ingestUrl,
      ATTESTRY_RUN_ADDR: constellation.runUrl,
      ATTESTRY_CAS_ADDR: constellation.casUrl,
      ATTESTRY_TOKEN: constellation.adminToken,
      ...options.env,
    };
    return attestry(args, { ...options, env });
  }

  /** What a command that has to succeed prints as JSON. */
  async function json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await cli([...args, "-o", "json"]);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  }

  return { cli, json };
}
