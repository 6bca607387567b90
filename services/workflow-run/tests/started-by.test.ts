import { uuidv7 } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { decodeJwt } from "jose";
import { type Clients, type Harness, startHarness } from "./harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

/** An organization with two ci tokens, and their ids. */
async function twoTokens(name: string) {
  const { id, reader } = await harness.organization(name);
  const [first, second] = await Promise.all(
    ["one", "two"].map(async (token) => {
      const { secret } = await harness.admin.tokens.create({ name: token, role: 2, organization: name });
      return { clients: harness.as(secret), tokenId: String(decodeJwt(secret).jti) };
    }),
  );
  if (!first || !second) throw new Error("two names make two tokens");
  return { id, reader, first, second };
}

/** What Get, List and the workflow of the run say. */
async function shown({ runs, workflows }: Clients, runId: string, workflow: string): Promise<(string | undefined)[]> {
  const got = await runs.get({ by: { case: "runId", value: runId } });
  const listed = (await runs.list({ project: "p" })).runs.find(({ id }) => id === runId);
  const { lastRun } = (await workflows.get({ project: "p", name: workflow })).workflow ?? {};
  return [got.run, listed, lastRun].map((run) => run?.tokenId);
}

describe("the token that started a run", () => {
  test.each([{}, { projectVersion: { version: "1" } }])("is shown with it, asked for with %j", async (more) => {
    const { reader, first, second } = await twoTokens(`started-${Object.keys(more).length}`);
    for (const [workflow, { clients, tokenId }] of Object.entries({ first, second })) {
      const { run } = await clients.runs.create({ project: "p", workflow, ...more });
      expect(run?.tokenId).toBe(tokenId);
      expect(await shown(reader, run?.id ?? "", workflow)).toEqual(Array(3).fill(tokenId));
    }
  });

  test("stays the one that did, whoever comes with its idempotency key or ends it", async () => {
    const { reader, first, second } = await twoTokens("started-again");
    const ask = { project: "p", workflow: "w", idempotencyKey: "job 1" };
    const runId = (await first.clients.runs.create(ask)).run?.id ?? "";
    expect((await second.clients.runs.create(ask)).run).toMatchObject({ id: runId, tokenId: first.tokenId });
    expect((await second.clients.runs.cancel({ runId })).run?.tokenId).toBe(first.tokenId);
    expect(await shown(reader, runId, "w")).toEqual(Array(3).fill(first.tokenId));
  });

  test("is not known of the row of an older build, which is read all the same", async () => {
    const { id, reader, first } = await twoTokens("started-before");
    const { run } = await first.clients.runs.create({ project: "p", workflow: "w" });
    const runId = uuidv7();
    await harness.pool.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at)
       select organization_id, $2, workflow_id, backend_id, now() from run where organization_id = $1 and id = $3`,
      [id, runId, run?.id],
    );
    expect(await shown(reader, runId, "w")).toEqual(Array(3).fill(""));
  });
});
