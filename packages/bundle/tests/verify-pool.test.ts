import { afterEach, describe, expect, test } from "@jest/globals";
import { BundleError, digestOf, parseBundle, summarize, type TrustPolicy } from "../src/index.ts";
import { VerifyPool, type VerifyPoolError, type VerifyPoolOptions, type VerifyTask } from "../src/verify-pool/index.ts";
import { bytesOf, fixture, STATEMENT } from "./support.ts";

const bundle = fixture("chainloop-cli-63k.json");
const receivedAt = new Date("2026-11-23T23:15:00Z");
const policy: TrustPolicy = {
  material: {
    trustedRoots: [],
    certificateAuthorities: [fixture("chainloop-cli-63k.ca.pem").toString()],
    publicKeys: [],
  },
  ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
};
const trusted = { check: "trusted", policyKey: "acme:1", policy, receivedAt } as const;

const open: VerifyPool[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});

function poolOf(options: Partial<VerifyPoolOptions> = {}): VerifyPool {
  const pool = new VerifyPool({ threads: 2, queueBytes: 64 * 1024 * 1024, ...options });
  open.push(pool);
  return pool;
}

/** What a task was refused with. */
async function refusal(
  pool: VerifyPool,
  bytes: Uint8Array,
  task: VerifyTask = trusted,
): Promise<VerifyPoolError | BundleError> {
  return pool.run(bytes, task).then(
    () => Promise.reject(new Error("not refused")),
    (error: BundleError) => error,
  );
}

describe("a bundle", () => {
  test.each<[VerifyTask, unknown]>([
    [{ check: "none" }, undefined],
    [{ check: "signature" }, { status: "verified", signer: "", issuer: "" }],
    [trusted, { signer: "", issuer: "", integratedAt: undefined }],
  ])("is read as in the same thread, and verified: %j", async (task, verification) => {
    const bytes = Buffer.concat([bytesOf("junk before"), bundle]).subarray("junk before".length);
    const found = await poolOf().run(bytes, task);
    expect(found).toEqual({ digest: digestOf(bundle), summary: summarize(parseBundle(bundle)), verification });
    expect(Object.getPrototypeOf(found.summary.subjects[0]?.digests)).toBeNull();
    // The caller's bytes are still there.
    expect(bytes.equals(bundle)).toBe(true);
  });

  test("with a log's time brings the time along", async () => {
    const material = {
      ...policy.material,
      trustedRoots: [fixture("sigstore-public-good.trusted_root.json").toString()],
    };
    const task = { ...trusted, policyKey: "acme:2", policy: { ...policy, material, transparencyLogThreshold: 1 } };
    const { verification } = await poolOf().run(fixture("happy-path-intoto-in-dsse-v3.json"), {
      ...task,
      receivedAt: new Date(),
    });
    expect(verification.integratedAt).toEqual(new Date("2024-12-16T18:42:56Z"));
  });

  test.each<[string, Uint8Array, VerifyTask, string]>([
    ["that is none", bytesOf("{"), { check: "none" }, "BUNDLE_NOT_JSON"],
    ["whose signature is bad", fixture("dsse-invalid-sig_fail.json"), { check: "signature" }, "SIGNATURE_INVALID"],
    ["whose certificate ran out", bundle, { ...trusted, receivedAt: new Date() }, "SIGNER_UNTRUSTED"],
    ["without a checkpoint", fixture("C16-v01-no-checkpoint.json"), trusted, "SIGNER_UNTRUSTED"],
    [
      "under a policy that cannot be read",
      bundle,
      { ...trusted, policyKey: "acme:3", policy: { ...policy, timestampThreshold: -1 } },
      "TRUST_MATERIAL_INVALID",
    ],
  ])("%s is refused as in the same thread", async (_, bytes, task, code) => {
    const error = await refusal(poolOf(), bytes, task);
    expect(error).toBeInstanceOf(BundleError);
    expect(error).toMatchObject({ code, message: expect.stringMatching(/expected|not valid|JSON/) });
  });
});

test("policies are told apart by their keys, and those that were pushed out are sent again", async () => {
  const pool = poolOf({ threads: 1 });
  const nobody = { ...policy, signers: [{ subject: "nobody", issuer: "" }] };
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 60; i++) {
      const task = { ...trusted, policyKey: `acme:${i}`, policy: i % 2 === 0 ? policy : nobody };
      const outcome = await pool.run(bundle, task).then(
        () => "verified",
        ({ code }: BundleError) => code,
      );
      expect(outcome).toBe(i % 2 === 0 ? "verified" : "SIGNER_UNTRUSTED");
    }
  }
});

test("100 at once, good and bad, each get their own answer", async () => {
  const pool = poolOf();
  const bad = fixture("dsse-invalid-sig_fail.json");
  const outcomes = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) =>
      pool.run(i % 3 === 0 ? bad : bundle, i % 3 === 0 ? { check: "signature" } : trusted),
    ),
  );
  for (const [i, outcome] of outcomes.entries()) {
    if (i % 3 === 0) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "SIGNATURE_INVALID" } });
    else expect(outcome).toMatchObject({ status: "fulfilled", value: { digest: digestOf(bundle) } });
  }
});

describe("a thread that dies", () => {
  // More objects than a thread of so little heap can hold.
  const hostile = bytesOf({ ...STATEMENT, predicate: Array.from({ length: 300_000 }, () => [{}, []]) });
  const small = { heapMebibytes: 24 };

  test("fails its own task alone, with an error that passes; others go on, in new threads", async () => {
    const pool = poolOf(small);
    const tasks = Array.from({ length: 12 }, (_, i) =>
      pool.run(i % 4 === 0 ? hostile : bundle, { check: "signature" }),
    );
    for (const [i, outcome] of (await Promise.allSettled(tasks)).entries()) {
      if (i % 4 === 0)
        expect(outcome).toMatchObject({
          status: "rejected",
          reason: { name: "VerifyPoolError", code: "VERIFIER_CRASHED", retryAfterMs: 1_000 },
        });
      else expect(outcome).toMatchObject({ status: "fulfilled" });
    }
    expect((await pool.run(bundle, trusted)).digest).toBe(digestOf(bundle));
  });

  test("has room for all that a bundle may hold by default", async () => {
    expect(await refusal(poolOf(), hostile, { check: "none" })).toMatchObject({ code: "BUNDLE_MALFORMED" });
  });
});

describe("the queue", () => {
  test("has a bound in bytes, and room again when work is done", async () => {
    const pool = poolOf({ threads: 1, queueBytes: bundle.length * 3 });
    const tasks = Array.from({ length: 5 }, () => pool.run(bundle, trusted));
    const outcomes = await Promise.allSettled(tasks);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
      "rejected",
    ]);
    expect(outcomes[4]).toMatchObject({ reason: { code: "STORE_BUSY", retryAfterMs: 1_000 } });
    expect((await pool.run(bundle, trusted)).digest).toBe(digestOf(bundle));
  });

  test("takes one of any size when there is no other", async () => {
    expect((await poolOf({ queueBytes: 1 }).run(bundle, trusted)).digest).toBe(digestOf(bundle));
  });

  test("is left by what its caller gives up, and its bytes are free", async () => {
    const pool = poolOf({ threads: 1, queueBytes: bundle.length * 20 });
    const reason = new Error("the client went away");
    const calls = Array.from({ length: 20 }, () => {
      const controller = new AbortController();
      return { controller, task: pool.run(bundle, trusted, controller.signal) };
    });
    for (const { controller } of calls.slice(1)) controller.abort(reason);
    for (const { task } of calls.slice(1)) await expect(task).rejects.toBe(reason);
    await calls[0]?.task;
    await expect(Promise.all(Array.from({ length: 20 }, () => pool.run(bundle, trusted)))).resolves.toHaveLength(20);
  });

  test("takes nothing that was given up before", async () => {
    const reason = new Error("gone");
    await expect(poolOf().run(bundle, trusted, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  test("goes on after work under way was given up", async () => {
    const pool = poolOf({ threads: 1 });
    await pool.run(bundle, trusted);
    for (let i = 0; i < 10; i++) {
      const controller = new AbortController();
      const task = pool.run(bundle, trusted, controller.signal);
      setTimeout(() => controller.abort(new Error("late")), i);
      await task.catch((error: Error) => expect(error.message).toBe("late"));
    }
    expect((await pool.run(bundle, trusted)).digest).toBe(digestOf(bundle));
  });
});

describe("closing", () => {
  test("finishes what was taken on, and refuses what comes", async () => {
    const pool = poolOf();
    const tasks = Array.from({ length: 10 }, () => pool.run(bundle, trusted));
    const closed = pool.close();
    expect(await refusal(pool, bundle)).toMatchObject({ code: "SHUTTING_DOWN", retryAfterMs: 1_000 });
    await closed;
    await expect(Promise.all(tasks)).resolves.toHaveLength(10);
  });

  test("is safe twice, and before anything was done", async () => {
    const pool = poolOf();
    await Promise.all([pool.close(), pool.close()]);
    expect(await refusal(pool, bundle)).toMatchObject({ code: "SHUTTING_DOWN" });
  });
});
