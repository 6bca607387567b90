import type * as Jest from "@jest/globals";
import { howToGet, type OptionalServer } from "../programs.ts";
import { hasServer } from "../test-servers.ts";
import { skippedTitle } from "./skipped.ts";

// The globals rather than the package, which may not be imported outside jest: benches use this package too.
const jest = globalThis as unknown as Pick<typeof Jest, "describe" | "test">;

/**
 * A suite that needs servers which the machine may lack. Without them it is skipped, and says so at the end of the
 * run; with ATTESTRY_REQUIRE_SERVERS=1 it fails instead.
 */
export function describeWith(servers: readonly OptionalServer[], name: string, suite: () => void): void {
  const missing = servers.filter((server) => !hasServer(server));
  if (missing.length === 0) {
    jest.describe(name, suite);
  } else if (process.env.ATTESTRY_REQUIRE_SERVERS === "1") {
    jest.test(name, () => {
      throw new Error(missing.map((server) => `no ${server} here: ${howToGet(server)}`).join("\n"));
    });
  } else {
    jest.describe.skip(skippedTitle(name, missing), suite);
  }
}
