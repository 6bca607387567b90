import { generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { DEFAULT_LIMITS, type TrustPolicy } from "@attestry/bundle";
import { VerifyPool } from "@attestry/bundle/pool";
import { afterAll, expect, test } from "@jest/globals";
import {
  authority,
  certificateMaterial,
  leaf,
  type Pair,
  signedBundle,
} from "../../../packages/bundle/tests/signing.ts";
import type { VerificationPlan } from "../src/verification/plan.ts";
import { type ReadBundle, summaryOf, Verifier } from "../src/verification/verifier.ts";
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
  limits: DEFAULT_LIMITS,
  policies: { get: async () => policy } as never,
  telemetry: { verified() {} },
});
afterAll(() => pool.close());

const real = JSON.parse(fixture("chainloop-cli-63k.json").toString());
const subject = (n: number) => ({ name: `file-${n}`, digest: { sha256: n.toString(16).padStart(64, "0") } });

const digests = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`a${i}`, "b"]));
// In JSON these have escapes, which are read to tell names apart.
const quotes = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`"${i}`, "b"]));

/** A bundle of about so many KiB, most of it what `fill` makes of a number. The signature is good for none but the fixture. */
function bundle(kib: number, fill: (n: number) => object, size: number): Buffer {
  const count = Math.floor((kib * 1024 * 0.7) / size);
  const statement = { _type: "https://in-toto.io/Statement/v1", predicateType: "x", ...fill(count) };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  return Buffer.from(JSON.stringify({ ...real, dsseEnvelope: { ...real.dsseEnvelope, payload } }));
}

/** A small bundle whose certificate is for this key, and whose signature is another's: to find that out takes longest. */
async function wronglySigned(keys: Pair): Promise<Buffer> {
  const certificate = await leaf(await authority("CN=Root"), keys.publicKey);
  const bundle = signedBundle(certificateMaterial(certificate), () =>
    sign("sha256", Buffer.from("x"), keys.privateKey),
  );
  return Buffer.from(JSON.stringify(bundle));
}

const one = { subject: [subject(1)] };
const shapes: [name: string, bytes: Buffer][] = [
  ["the 63 KB bundle", fixture("chainloop-cli-63k.json")],
  ["a signature by another key, P-256", await wronglySigned(generateKeyPairSync("ec", { namedCurve: "P-256" }))],
  ["a signature by another key, P-384", await wronglySigned(generateKeyPairSync("ec", { namedCurve: "P-384" }))],
  ["a signature by another key, P-521", await wronglySigned(generateKeyPairSync("ec", { namedCurve: "P-521" }))],
  ["a signature by another key, RSA", await wronglySigned(generateKeyPairSync("rsa", { modulusLength: 8192 }))],
  // As many as are read in the event loop, nearly; of more in a thread.
  ["52 KiB, 1,900 names", bundle(52, (n) => ({ ...one, predicate: digests(n) }), 19)],
  ["52 KiB, 1,900 names outside of the predicate", bundle(52, (n) => ({ ...one, ...quotes(n) }), 19)],
  ...[16, 64, 256].map((kib): [string, Buffer] => [
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

// The best of many: the first ones are not compiled yet, and others wait for a busy machine. So it bounds what the work
// itself takes, and not what a turn takes on a machine that has other things to do.
const tries = 40;
const mostMs = 2;

/** The time in which the event loop did not wait: in all, so it is at least the longest turn. */
async function activeMs(work: () => unknown): Promise<number> {
  await setImmediate();
  const before = performance.eventLoopUtilization();
  await work();
  return performance.eventLoopUtilization(before).active;
}

// Store asks between the two for the run, so they never share a turn.
test.each(shapes.flatMap(([name, bytes]) => plans.map((plan) => [name, plan.mode, plan, bytes] as const)))(
  "%s at %s: neither to read it nor to verify it and make its row holds up the event loop for 2 ms",
  async (_name, _mode, plan, bytes) => {
    const { signal } = new AbortController();
    const receivedAt = new Date("2026-11-23T23:15:00Z");
    const best = { read: Number.POSITIVE_INFINITY, verify: Number.POSITIVE_INFINITY };
    for (let attempt = 0; attempt < tries; attempt++) {
      let read: ReadBundle | undefined;
      const readMs = await activeMs(async () => {
        read = await verifier.read(bytes, signal);
      });
      const found = read;
      if (found === undefined) throw new Error("it was not read");
      const verifyMs = await activeMs(async () => {
        // Most of these are refused, which takes as long.
        await refusal(verifier.verify({ ...found, bytes, organizationId: "o", receivedAt }, plan, signal));
        summaryOf(found);
      });
      best.read = Math.min(best.read, readMs);
      best.verify = Math.min(best.verify, verifyMs);
    }
    expect(best.read).toBeLessThan(mostMs);
    expect(best.verify).toBeLessThan(mostMs);
  },
);
