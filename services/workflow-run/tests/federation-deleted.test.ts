import { setTimeout as sleep } from "node:timers/promises";
import { Role } from "@attestry/api/run";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { refusal } from "./errors.ts";
import { type Clients, type Harness, startHarness } from "./harness.ts";
import { TestIssuer } from "./test-issuer.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ privateIssuers: true });
});
afterAll(() => harness.stop());

let issuer: TestIssuer;
let organization: string;
let admin: Clients;
let made = 0;
beforeEach(async () => {
  issuer = new TestIssuer();
  await issuer.start();
  organization = `federated-${++made}`;
  ({ admin } = await harness.organization(organization));
});
afterEach(() => issuer.stop());

const exchange = (idToken: string) => harness.as("").federation.exchange({ organization, idToken });

function addRule({ name = "release", ref = "refs/heads/*" } = {}) {
  const conditions = [{ claim: "ref", pattern: ref }];
  const rule = { name, issuer: issuer.url, audience: "attestry", role: Role.CI, conditions };
  return admin.federation.create({ rule });
}

describe("a rule that is deleted takes its tokens with it", () => {
  test("all that may still count somewhere, each told to the services once, and no other; the audit log says how many", async () => {
    await addRule();
    await addRule({ name: "other", ref: "refs/tags/*" });
    const given = await Promise.all(Array.from({ length: 5 }, async () => exchange(await issuer.github())));
    const other = await exchange(await issuer.github({ ref: "refs/tags/v1" }));
    const [revoked, old, longAgo] = given.map(({ token }) => token?.id ?? "");
    await admin.tokens.revoke({ token: revoked ?? "" });
    const ranOut = "update token set expires_at = now() - $2::interval where id = $1";
    await harness.pool.query(ranOut, [old, "23 hours"]);
    await harness.pool.query(ranOut, [longAgo, "25 hours"]);
    const { nextCursor: cursor } = await harness.ingest.tokens.listRevoked({});
    await admin.federation.delete({ name: "release" });
    const told = await harness.ingest.tokens.listRevoked({ cursor });
    const expected = given.map(({ token }) => token?.id ?? "").filter((id) => id !== revoked && id !== longAgo);
    expect([...told.tokenIds].sort()).toEqual([...expected].sort());
    expect(told.expiresAtSeconds.map((at) => Number(at) * 1_000 > Date.now() - 24 * 3_600_000)).toEqual([
      true,
      true,
      true,
    ]);

    const { tokens } = await admin.tokens.list({});
    expect(tokens.find(({ id }) => id === other.token?.id)?.revokedAt).toBeUndefined();
    await harness.as(other.secret).runs.list({});
    const [event] = (await admin.audit.list({ action: "federation.delete" })).events;
    expect(event?.detail).toEqual({ name: "release", issuer: issuer.url, revoked_tokens: "3" });
  });

  test("also one that is given while it is deleted, or it is not given", async () => {
    for (let turn = 0; turn < 10; turn++) {
      await addRule();
      const tokens = await Promise.all(
        Array.from({ length: 8 }, (_, run) => issuer.github({ run_id: `${turn}-${run}` })),
      );
      const exchanges = Promise.allSettled(tokens.map((token) => exchange(token)));
      await sleep(turn * 3);
      await admin.federation.delete({ name: "release" });
      for (const ended of await exchanges) {
        if (ended.status === "rejected") {
          expect(await refusal(Promise.reject(ended.reason))).toMatchObject({ reason: "FEDERATION_REFUSED" });
        }
      }
      const live = (await admin.tokens.list({ pageSize: 200 })).tokens.filter(
        ({ name, revokedAt }) => name.startsWith("release.") && revokedAt === undefined,
      );
      expect(live).toEqual([]);
    }
    // Some came in time, or this tried nothing.
    expect((await admin.audit.list({ action: "token.exchange" })).events.length).toBeGreaterThan(0);
  });
});
