import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { refusal } from "./errors.ts";
import { useFederation } from "./federation-world.ts";

const world = useFederation();

describe("a rule that is deleted takes its tokens with it", () => {
  test("all that may still count somewhere, each told to the services once, and no other; the audit log says how many", async () => {
    await world.addRule();
    await world.addRule({ name: "other", conditions: ["ref=refs/tags/*"] });
    const given = await Promise.all(Array.from({ length: 5 }, async () => world.exchange(await world.issuer.github())));
    const other = await world.exchange(await world.issuer.github({ ref: "refs/tags/v1" }));
    const [revoked, old, longAgo] = given.map(({ token }) => token?.id ?? "");
    await world.admin.tokens.revoke({ token: revoked ?? "" });
    const ranOut = "update token set expires_at = now() - $2::interval where id = $1";
    await world.harness.pool.query(ranOut, [old, "23 hours"]);
    await world.harness.pool.query(ranOut, [longAgo, "25 hours"]);
    const { nextCursor: cursor } = await world.harness.ingest.tokens.listRevoked({});
    await world.admin.federation.delete({ name: "release" });
    const told = await world.harness.ingest.tokens.listRevoked({ cursor });
    const expected = given.map(({ token }) => token?.id ?? "").filter((id) => id !== revoked && id !== longAgo);
    expect([...told.tokenIds].sort()).toEqual([...expected].sort());
    expect(told.expiresAtSeconds.map((at) => Number(at) * 1_000 > Date.now() - 24 * 3_600_000)).toEqual([
      true,
      true,
      true,
    ]);

    const { tokens } = await world.admin.tokens.list({});
    expect(tokens.find(({ id }) => id === other.token?.id)?.revokedAt).toBeUndefined();
    await world.harness.as(other.secret).runs.list({});
    const [event] = (await world.admin.audit.list({ action: "federation.delete" })).events;
    expect(event?.detail).toEqual({ name: "release", issuer: world.issuer.url, revoked_tokens: "3" });
  });

  test("also one that is given while it is deleted, or it is not given", async () => {
    for (let turn = 0; turn < 10; turn++) {
      await world.addRule();
      const tokens = await Promise.all(
        Array.from({ length: 8 }, (_, run) => world.issuer.github({ run_id: `${turn}-${run}` })),
      );
      const exchanges = Promise.allSettled(tokens.map((token) => world.exchange(token)));
      await sleep(turn * 3);
      await world.admin.federation.delete({ name: "release" });
      for (const ended of await exchanges) {
        if (ended.status === "rejected") {
          expect(await refusal(Promise.reject(ended.reason))).toMatchObject({ reason: "FEDERATION_REFUSED" });
        }
      }
      const live = (await world.admin.tokens.list({ pageSize: 200 })).tokens.filter(
        ({ name, revokedAt }) => name.startsWith("release.") && revokedAt === undefined,
      );
      expect(live).toEqual([]);
    }
    // Some came in time, or this tried nothing.
    expect((await world.admin.audit.list({ action: "token.exchange" })).events.length).toBeGreaterThan(0);
  });
});
