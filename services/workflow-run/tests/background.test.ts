import { BackendProvider, BackendStatus, RunState } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bootstrap } from "../src/index.ts";
import { type Harness, startHarness } from "./harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ runExpiryMs: 500, expirerIntervalMs: 100, revalidationMs: 400 });
});
afterAll(() => harness.stop());

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 5_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error("still not so after 5 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("by itself, the service", () => {
  test("expires runs", async () => {
    const { run } = await harness.admin.runs.create({ project: "p", workflow: "w" });
    const state = async () =>
      (await harness.admin.runs.get({ by: { case: "runId", value: run?.id ?? "" } })).run?.state;
    expect(await state()).toBe(RunState.INITIALIZED);
    await until(async () => (await state()) === RunState.EXPIRED);
  });

  test("validates backends again and again", async () => {
    const { backends } = harness.admin;
    await backends.create({ name: "b", provider: BackendProvider.S3, secretRef: "mine" });
    const status = async () => (await backends.get({ name: "b" })).backend?.status;
    for (const valid of [false, true]) {
      harness.gateway.result = { valid, error: valid ? "" : "read: gone" };
      await until(async () => (await status()) === (valid ? BackendStatus.VALID : BackendStatus.INVALID));
    }
    const { principal } = await harness.keyrings["cas-gateway"].verify(harness.gateway.tokens.at(-1) ?? "");
    expect(principal).toMatchObject({ kind: "cas", role: "manager", organization: "default" });
  });

  test("gives each backend that is due to one replica", async () => {
    const { backends } = harness.context;
    await harness.pool.query(
      "update backend set next_validation_at = now() - interval '1 second' where provider <> 'inline'",
    );
    const claims = await Promise.all([1, 2, 3].map(() => backends.claimDue(10, 60_000)));
    expect(claims.flat().length).toBeLessThanOrEqual(1);
  });
});

describe("bootstrap", () => {
  test("makes what is missing once, whoever comes at once, and returns the same token", async () => {
    const backend = { name: "local", provider: "filesystem", secretRef: "_shared/local" } as const;
    const made = await Promise.all([1, 2, 3].map(() => bootstrap(harness.context, { organization: "fresh", backend })));
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    const tokens = await Promise.all(made.map(({ adminToken = "" }) => harness.keyring.verify(adminToken)));
    const ids = tokens.map(({ principal }) => (principal.kind === "api" ? principal.tokenId : ""));
    expect(new Set(ids).size).toBe(1);
    const fresh = harness.as(made[0]?.adminToken ?? "");
    const { backends } = await fresh.backends.list({});
    expect(backends.map(({ name, isDefault }) => `${name} ${isDefault}`)).toEqual(["inline false", "local true"]);
    await fresh.backends.update({ name: "inline", isDefault: true });
    await bootstrap(harness.context, { organization: "fresh", backend });
    expect((await fresh.backends.get({ name: "inline" })).backend?.isDefault).toBe(true);
    await fresh.backends.delete({ name: "local" });
    await bootstrap(harness.context, { organization: "fresh", backend });
    expect((await fresh.backends.list({})).backends).toHaveLength(1);
    await fresh.tokens.revoke({ token: "admin" });
    expect(await bootstrap(harness.context, { organization: "fresh" })).toEqual({ created: false });
  });

  test("another replica serves the same database", async () => {
    const replica = await harness.createReplica();
    await replica.ready();
    await replica.destroy();
    await replica.destroy();
  });
});
