import { RetryInfoSchema } from "@attestry/api/errors";
import type { VerifyPoolOptions } from "@attestry/bundle/pool";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import type { TestIngest } from "./harness.ts";

// Threads with so little memory that a large bundle ends one, as a fault of the engine or the system might.
const { VerifyPool } = await import("@attestry/bundle/pool");
jest.unstable_mockModule("@attestry/bundle/pool", () => ({
  VerifyPool: class extends VerifyPool {
    constructor(options: VerifyPoolOptions) {
      super({ ...options, heapMebibytes: 32 });
    }
  },
}));
const { bundleOf, createTestIngest, refusal, storeOne } = await import("./harness.ts");

let ingest: TestIngest;
beforeAll(async () => {
  ingest = await createTestIngest({ verifyThreads: 1 });
});
afterAll(() => ingest.destroy());

/** About 16 MiB, many times as much once it is parsed. */
function heavyBundle(): Buffer {
  const subjects = Array.from({ length: 150_000 }, (_, n) => ({
    name: `file-${n}`,
    digest: { sha256: n.toString(16).padStart(40, "0") },
  }));
  return bundleOf({ subjects });
}

test("a thread that dies fails its own Store alone, which may be tried again; those after it find a new one", async () => {
  await storeOne(ingest, bundleOf({ pad: 100_000 }));
  const before = await ingest.snapshot();
  const runId = ingest.run.begin(ingest.organizationId);
  const error = await ingest.attestations.store({ runId, bundle: heavyBundle() }).catch((thrown: unknown) => thrown);
  expect(await refusal(Promise.reject(error))).toBe("VERIFIER_CRASHED");
  expect(retryOf(error)).toBe(true);
  expect(await ingest.snapshot()).toEqual(before);
  expect(ingest.run.runs.get(runId)?.state).toBe("initialized");

  await Promise.all([0, 1, 2].map(() => storeOne(ingest, bundleOf({ pad: 100_000 }))));
  expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf({ pad: 100_000 }) }))).toBeUndefined();
}, 60_000);

function retryOf(error: unknown): boolean {
  if (error instanceof ConnectError) return error.findDetails(RetryInfoSchema).length > 0;
  return error instanceof Error && "retryAfterMs" in error && error.retryAfterMs !== undefined;
}
