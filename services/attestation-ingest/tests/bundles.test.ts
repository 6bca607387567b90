import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "@attestry/service-kit";
import { expect, test } from "@jest/globals";
import { Bundles } from "../src/cache/bundles.ts";
import { bundleOf, digestOf } from "./harness.ts";

/** So many reads at once of a cache that has room for a few loads only; what each gave. */
function readAtOnce(bundles: Buffer[], read: (bundle: Buffer) => Promise<Buffer>) {
  const byDigest = new Map<string, Buffer>(bundles.map((bundle) => [digestOf(bundle), bundle]));
  const cache = new Bundles({
    cacheBytes: 3,
    redis: undefined,
    origin: { read: (ref: { digest: string }) => read(byDigest.get(ref.digest) ?? Buffer.alloc(0)) } as never,
    telemetry: { bundleRead() {}, bundleCorrupt() {} } as never,
  });
  const refs = bundles.map((bundle) => ({
    ...{ organizationId: "o", runId: "r", digest: digestOf(bundle), sizeBytes: bundle.length },
  }));
  return Promise.allSettled(refs.map((ref) => cache.read(ref as never)));
}

test("a load that newer ones push out gives its bytes all the same", async () => {
  const bundles = Array.from({ length: 8 }, () => bundleOf());
  const given = await readAtOnce(bundles, async (bundle) => {
    await sleep(20);
    return bundle;
  });
  expect(given).toEqual(bundles.map((value) => ({ status: "fulfilled", value })));
});

test("a load that newer ones push out fails with its own error", async () => {
  const away = new DomainError("DATABASE_UNAVAILABLE", "away", { retryAfterMs: 1_000 });
  const bundles = Array.from({ length: 8 }, () => bundleOf());
  const given = await readAtOnce(bundles, async () => {
    await sleep(20);
    throw away;
  });
  expect(given).toEqual(bundles.map(() => ({ status: "rejected", reason: away })));
});
