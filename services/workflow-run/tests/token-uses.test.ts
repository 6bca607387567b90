import { Role, type TokenUseSchema } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

async function newToken(name: string): Promise<string> {
  const { token } = await harness.admin.tokens.create({ name, role: Role.CI });
  return token?.id ?? "";
}

async function lastUse(id: string): Promise<number | undefined> {
  const { tokens } = await harness.admin.tokens.list({ pageSize: 200 });
  const at = tokens.find((token) => token.id === id)?.lastUsedAt;
  return at && timestampDate(at).getTime();
}

const used = (tokenId: string, agoMs: number) => ({ tokenId, ago: durationFromMs(agoMs) });

test("the newest use that was told counts, whoever told it and in whatever order", async () => {
  const [id, other] = [await newToken("used"), await newToken("unused")];
  expect(await lastUse(id)).toBeUndefined();
  await harness.ingest.tokens.recordUses({ uses: [used(id, 3_600_000)] });
  const first = (await lastUse(id)) ?? 0;
  await harness.gatewayService.tokens.recordUses({ uses: [used(id, 60_000), used(id, 120_000)] });
  const second = (await lastUse(id)) ?? 0;
  // An hour and a minute ago, give or take what the calls took.
  expect(second - first).toBeGreaterThan(3_500_000);
  expect(second - first).toBeLessThan(3_600_000);
  await harness.ingest.tokens.recordUses({ uses: [used(id, 7_200_000)] });
  expect(await lastUse(id)).toBe(second);
  expect(await lastUse(other)).toBeUndefined();
});

test("what is not known is left out; an age without bounds is no fault", async () => {
  const id = await newToken("with-unknown");
  const uses = [used("0190a000-0000-7000-8000-000000000000", 0), { tokenId: id, ago: { seconds: 315_576_000_000n } }];
  await harness.ingest.tokens.recordUses({ uses });
  expect(await lastUse(id)).toBeLessThan(Date.now());
});

test("reports of the same tokens at once, in any order, all end", async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => newToken(`at-once-${index}`)));
  const reports = Array.from({ length: 20 }, (_, index) => {
    const uses = (index % 2 === 0 ? ids : ids.toReversed()).map((id) => used(id, 1_000 * (20 - index)));
    return harness.ingest.tokens.recordUses({ uses });
  });
  await Promise.all(reports);
  for (const id of ids) expect(await lastUse(id)).toBeDefined();
});

test("a bad report changes nothing", async () => {
  const id = await newToken("bad-report");
  const bad: [RegExp, MessageInitShape<typeof TokenUseSchema>][] = [
    [/uses\[1\]\.ago.*-5 ms/, used(id, -5)],
    [/uses\[1\]\.ago.*nothing/, { tokenId: id }],
    [/uses\[1\]\.token_id/, used("x", 0)],
  ];
  const tooMany = Array.from({ length: 1_001 }, () => used(id, 0));
  const reports = bad.map(
    ([message, use]) => [message, [used(id, 0), use] as MessageInitShape<typeof TokenUseSchema>[]] as const,
  );
  for (const [message, uses] of [...reports, [/at most 1000; came 1001/, tooMany] as const]) {
    expect(await refusal(harness.ingest.tokens.recordUses({ uses }))).toMatchObject({
      reason: "REQUEST_INVALID",
      message: expect.stringMatching(message),
    });
  }
  expect(await lastUse(id)).toBeUndefined();
});
