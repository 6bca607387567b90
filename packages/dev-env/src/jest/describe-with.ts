import { describe, test } from "@jest/globals";
import { howToGet, type OptionalServer } from "../programs.ts";
import { hasServer } from "../test-servers.ts";
import { skippedTitle } from "./skipped.ts";

/**
 * A suite that needs servers which the machine may lack. Without them it is skipped, and says so at the end of the
 * run; with ATTESTRY_REQUIRE_SERVERS=1 it fails instead.
 */
export function describeWith(servers: readonly OptionalServer[], name: string, suite: () => void): void {
  const missing = servers.filter((server) => !hasServer(server));
  if (missing.length === 0) {
    describe(name, suite);
  } else if (process.env.ATTESTRY_REQUIRE_SERVERS === "1") {
    test(name, () => {
      throw new Error(missing.map((server) => `no ${server} here: ${howToGet(server)}`).join("\n"));
    });
  } else {
    describe.skip(skippedTitle(name, missing), suite);
  }
}
