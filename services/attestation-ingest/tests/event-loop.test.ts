import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { TrustPolicy } from "@attestry/bundle";
import { VerifyPool } from "@attestry/bundle/pool";
import { afterAll, expect, test } from "@jest/globals";
import type { VerificationPlan } from "../src/verification/plan.ts";
import { Verifier } from "../src/verification/verifier.ts";
import { refusal } from "./harness.ts";

const fixtures = new URL("../../../packages/bundle/tests/fixtures/", import.meta.url);
const fixture = (name: string) => readFileSync(new URL(name, fixtures));

const policy: TrustPolicy = {
  material: {
    trustedRoots: [],
    certificateAuthorities: [fixture("chainloop-cli-63k.ca.pem").toString()],
    publicKeys: [],
  },
  transparencyLogThreshold: 0,
  timestampThreshold: 0,
  signers: [],
};
const pool = new VerifyPool({ threads: 1, queueBytes: 64 * 1024 * 1024 });
const verifier = new Verifier({
  pool,
  policies: { get: async () => policy } as never,
  telemetry: { verified() {} },
});
afterAll(() => pool.close());

const real = JSON.parse(fixture("chainloop-cli-63k.json").toString());
const subject = (n: number) => ({ name: `file-${n}`, digest: { sha256: n.toString(16).padStart(64, "0") } });

const digests = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`a${i}`, "b"]));

/** A bundle of about so many KiB, most of it what `fill` makes of a number. The signature is good for none but the fixture. */
function bundle(kib: number, fill: (n: number) => object, size: number): Buffer {
  const count = Math.floor((kib * 1024 * 0.7) / size);
  const statement = { _type: "https://in-toto.io/Statement/v1", predicateType: "x", ...fill(count) };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  return Buffer.from(JSON.stringify({ ...real, dsseEnvelope: { ...real.dsseEnvelope, payload } }));
}

const one = { subject: [subject(1)] };
const shapes: [name: string, bytes: Buffer][] = [
  ["the 63 KB bundle", fixture("chainloop-cli-63k.json")],
  // Of 64 KiB they take 1.5 ms, too close to the bound for a busy machine.
  ...[32, 256].map((kib): [string, Buffer] => [
    `${kib} KiB, digests of a subject`,
    bundle(kib, (n) => ({ subject: [{ digest: digests(n) }] }), 12),
  ]),
  ...[64, 256].flatMap((kib): [string, Buffer][] => [
    [`${kib} KiB, one string`, bundle(kib, (n) => ({ ...one, predicate: "x".repeat(n) }), 1)],
    [`${kib} KiB, numbers`, bundle(kib, (n) => ({ ...one, predicate: Array(n).fill(1) }), 2)],
    [`${kib} KiB, subjects`, bundle(kib, (n) => ({ subject: Array.from({ length: n }, (_, i) => subject(i)) }), 110)],
  ]),
];
const plans: VerificationPlan[] = [{ mode: "off" }, { mode: "signature" }, { mode: "trusted", trustRevision: 1 }];

// The time in which the event loop did not wait is, in all, the most that it can have been held up at once. The best of
// many: the first ones are not compiled yet, and others wait for a busy machine.
const tries = 40;
const mostMs = 2;

test.each(shapes.flatMap(([name, bytes]) => plans.map((plan) => [name, plan.mode, plan, bytes] as const)))(
  "%s at %s holds up the event loop for less than 2 ms",
  async (_name, _mode, plan, bytes) => {
    const { signal } = new AbortController();
    const receivedAt = new Date("2026-11-23T23:15:00Z");
    let best = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < tries; attempt++) {
      const before = performance.eventLoopUtilization();
      const read = await verifier.read(bytes, signal);
      // Most of these are refused, which takes as long.
      await refusal(verifier.verify({ ...read, bytes, organizationId: "o", receivedAt }, plan, signal));
      best = Math.min(best, performance.eventLoopUtilization(before).active);
    }
    expect(best).toBeLessThan(mostMs);
  },
);
