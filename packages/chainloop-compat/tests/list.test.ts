import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 } from "uuid";
import { AttestationServiceCancelRequest_TriggerType as Trigger } from "../src/gen/controlplane/v1/attestation_pb.ts";
import { RunStatus } from "../src/gen/controlplane/v1/run_item_pb.ts";
import { type CommandLine, chainloopToken, commandLine, initialize } from "./command-line.ts";
import { refused } from "./refused.ts";

let attestry: Constellation;
let cli: CommandLine;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "inline" });
  cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

const sharedTime = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** 500 runs more of a workflow that has one, of which 300 were made in the same moment; returns the ids of all, newest first. */
async function manyRuns(workflowName: string): Promise<string[]> {
  const first = await initialize(cli, workflowName);
  const ids = Array.from({ length: 500 }, (_, n) => v7({ msecs: sharedTime + Math.max(0, n - 299) * 1_000 }));
  const database = new pg.Client({ connectionString: attestry.servers.runDatabase });
  await database.connect();
  try {
    await database.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at)
       select organization_id, made.id, workflow_id, backend_id,
         $2::timestamptz + greatest(0, made.n - 300) * interval '1 second'
       from run, unnest($3::uuid[]) with ordinality made(id, n) where run.id = $1`,
      [first, new Date(sharedTime), ids],
    );
  } finally {
    await database.end();
  }
  return [first, ...ids].toSorted().toReversed();
}

/** All pages; `meanwhile` runs after each. */
async function readAll(
  request: { workflowName: string; projectName: string; status?: RunStatus },
  limit: number,
  meanwhile?: (page: number) => Promise<unknown>,
): Promise<string[]> {
  const found: string[] = [];
  let cursor = "";
  for (let page = 0; page === 0 || cursor !== ""; page++) {
    const { result, pagination } = await cli.runs.list({ ...request, pagination: { limit, cursor } });
    found.push(...result.map(({ id }) => id));
    cursor = pagination?.nextCursor ?? "";
    await meanwhile?.(page);
  }
  return found;
}

describe("pages of runs", () => {
  let ids: string[];
  const asked = { workflowName: "pages", projectName: "demo" };
  beforeAll(async () => {
    ids = await manyRuns(asked.workflowName);
  });

  test.each([1, 7, 100])(
    "of %i have each run that exists throughout exactly once, newest first",
    async (limit) => {
      const found = await readAll(asked, limit, async (page) => {
        if (page % 50 !== 0) return;
        // States change and runs are added while someone reads.
        const workflowRunId = ids[(page * 31 + limit) % ids.length] ?? "";
        await cli.attestations.cancel({ workflowRunId, trigger: Trigger.FAILURE });
        await initialize(cli, asked.workflowName);
      });
      expect(new Set(found).size).toBe(found.length);
      expect(found.filter((id) => ids.includes(id))).toEqual(ids);
    },
    30_000,
  );

  test("by status have what the filter says", async () => {
    const all = await readAll(asked, 100);
    const failed = await readAll({ ...asked, status: RunStatus.FAILED }, 1);
    const initialized = await readAll({ ...asked, status: RunStatus.INITIALIZED }, 7);
    expect(failed.length).toBeGreaterThan(0);
    expect([...failed, ...initialized].toSorted().toReversed()).toEqual(all);
  });

  test("are not continued with a cursor of other filters", async () => {
    const { pagination } = await cli.runs.list({ ...asked, pagination: { limit: 5 } });
    const cursor = pagination?.nextCursor ?? "";
    for (const other of [{}, { ...asked, status: RunStatus.FAILED }]) {
      const error = await refused(cli.runs.list({ ...other, pagination: { limit: 5, cursor } }));
      expect(reasonOf(error)).toBe("PAGE_TOKEN_INVALID");
    }
  });
});

test("runs of a workflow that is not there are an error", async () => {
  const error = await refused(cli.runs.list({ workflowName: "absent", projectName: "demo" }));
  expect(error.rawMessage).toBe("workflow not found");
});
