import { randomBytes } from "node:crypto";
import { RunState } from "@attestry/api/run";
import { firstIdAt, uuidv7 } from "@attestry/service-kit";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const sharedTime = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

let harness: Harness;
let organization: Awaited<ReturnType<Harness["organization"]>>;
/** Runs 0 to 299 share one time of creation; the other 200 are a second apart, half of them of workflow v. */
let ids: string[];

beforeAll(async () => {
  harness = await startHarness();
  organization = await harness.organization("paging");
  const { ci, id: organizationId } = organization;
  const workflowIds = await Promise.all(
    ["w", "v"].map(
      async (workflow) => (await ci.workflows.findOrCreate({ project: "p", name: workflow })).workflow?.id,
    ),
  );
  const backend = (await harness.context.backends.findDefault(organizationId))?.id;
  ids = Array.from({ length: 500 }, (_, index) => idAt(index < 300 ? sharedTime : sharedTime + (index - 299) * 1000));
  await harness.pool.query(
    `insert into run (organization_id, id, workflow_id, backend_id, created_at)
     select $1, r.id, case when r.n % 2 = 0 or r.n <= 300 then $3::uuid else $4::uuid end, $5,
       case when r.n <= 300 then $6::timestamptz else $6::timestamptz + (r.n - 300) * interval '1 second' end
     from unnest($2::uuid[]) with ordinality r(id, n)`,
    [organizationId, ids, workflowIds[0], workflowIds[1], backend, new Date(sharedTime)],
  );
});
afterAll(() => harness.stop());

function idAt(time: number): string {
  const random = randomBytes(8).toString("hex");
  return `${firstIdAt(time).slice(0, 14)}7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(4)}`;
}

type Filters = Parameters<Harness["admin"]["runs"]["list"]>[0];

/** Reads all pages; `meanwhile` runs between them. */
async function readAll(filters: Filters, meanwhile?: (page: number) => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  let pageToken = "";
  for (let page = 0; page === 0 || pageToken !== ""; page++) {
    const answer = await organization.reader.runs.list({ ...filters, pageToken });
    found.push(...answer.runs.map(({ id }) => id));
    pageToken = answer.nextPageToken;
    await meanwhile?.(page);
  }
  return found;
}

describe("pages of runs", () => {
  test.each([1, 7, 100])(
    "of %i have each run that exists throughout exactly once, newest first",
    async (pageSize) => {
      const { ci } = organization;
      const found = await readAll({ pageSize }, async (page) => {
        if (page % 50 !== 0) return;
        // States change and runs are added while someone reads.
        const runId = ids[(page * 31 + pageSize) % 500] ?? "";
        await ci.runs.cancel({ runId });
        await ci.runs.create({ project: "p", workflow: "w" });
      });
      expect(new Set(found).size).toBe(found.length);
      expect(found).toEqual(found.toSorted().reverse());
      expect(found.filter((id) => ids.includes(id))).toEqual(ids.toSorted().reverse());
    },
    30_000,
  );

  test("by workflow, project, state and time have what the filter says, and nothing else", async () => {
    const v = ids.filter((_, index) => index >= 300 && index % 2 === 0);
    expect((await readAll({ project: "p", workflow: "v", pageSize: 7 })).toSorted()).toEqual(v.toSorted());
    expect(await readAll({ project: "none" })).toEqual([]);
    const project = await readAll({ project: "p", pageSize: 100 });
    expect(project).toEqual(project.toSorted().reverse());
    expect(project.filter((id) => ids.includes(id))).toHaveLength(500);

    const cancelled = await readAll({ state: RunState.CANCELLED, pageSize: 1 });
    const initialized = await readAll({ state: RunState.INITIALIZED, pageSize: 100 });
    expect(cancelled.length).toBeGreaterThan(0);
    expect(new Set([...cancelled, ...initialized]).size).toBe(project.length);
    const both = await readAll({ project: "p", workflow: "w", state: RunState.CANCELLED, pageSize: 1 });
    expect(both.every((id) => cancelled.includes(id) && !v.includes(id))).toBe(true);

    const shared = { createdAfter: timestampFromMs(sharedTime), createdBefore: timestampFromMs(sharedTime + 1) };
    expect((await readAll({ ...shared, pageSize: 100 })).toSorted()).toEqual(ids.slice(0, 300).toSorted());
    expect(await readAll({ createdBefore: timestampFromMs(sharedTime) })).toEqual([]);
    const after = await readAll({ createdAfter: timestampFromMs(sharedTime + 200_000), project: "p", pageSize: 200 });
    expect(after.filter((id) => ids.includes(id))).toEqual([ids[499]]);
    const first = await organization.reader.runs.list({
      createdAfter: shared.createdAfter,
      createdBefore: shared.createdBefore,
      pageSize: 1,
    });
    expect(first.runs[0]?.createdAt).toEqual(shared.createdAfter);
  });

  test("are not continued with a cursor of other filters, of another list or of another organization", async () => {
    const { reader, admin } = organization;
    const { nextPageToken: pageToken } = await reader.runs.list({ pageSize: 5 });
    await reader.runs.list({ pageSize: 7, pageToken });
    const other = await harness.organization("paging-other");
    for (const call of [
      reader.runs.list({ project: "p", pageToken }),
      reader.runs.list({ state: RunState.SUCCESS, pageToken }),
      reader.runs.list({ createdAfter: timestampFromMs(0), pageToken }),
      reader.workflows.list({ pageToken }),
      admin.tokens.list({ pageToken }),
      other.reader.runs.list({ pageToken }),
    ]) {
      await expectRefusal(call, "InvalidArgument", "PAGE_TOKEN_INVALID");
    }
  });

  test("are as quick deep down as at the start, among 200,000 runs", async () => {
    const big = await harness.organization("big");
    const { run } = await big.ci.runs.create({ project: "p", workflow: "w" });
    await harness.pool.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at, state, finished_at)
       select $1, (lpad(to_hex(n::bigint * 1000), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, $2, $3,
         to_timestamp(n), case when n % 1000 = 0 then 'error'::run_state else 'expired' end, now()
       from generate_series(1, 200000) n`,
      [big.id, run?.workflowId, run?.backendId],
    );
    await harness.pool.query("analyze run");
    const timed = async (filters: Filters) => {
      const times: number[] = [];
      for (let turn = 0; turn < 5; turn++) {
        const start = performance.now();
        await big.reader.runs.list({ pageSize: 50, ...filters });
        times.push(performance.now() - start);
      }
      return times.toSorted((a, b) => a - b)[2] ?? 0;
    };
    const deep = { createdBefore: timestampFromMs(300_000_000 / 3000) };
    for (const filters of [
      {},
      { project: "p" },
      { project: "p", workflow: "w" },
      { state: RunState.ERROR },
      { project: "p", state: RunState.ERROR },
    ]) {
      const [shallow, far] = [await timed(filters), await timed({ ...filters, ...deep })];
      expect({ filters, quick: far < Math.max(3 * shallow, 50) }).toEqual({ filters, quick: true });
    }
  }, 60_000);

  test("of workflows and tokens work the same way", async () => {
    const { ci, admin, reader } = await harness.organization("others");
    const made = await Promise.all(
      Array.from({ length: 9 }, (_, index) =>
        ci.workflows.findOrCreate({ project: `p${index % 2}`, name: `w${index}` }),
      ),
    );
    const found: string[] = [];
    for (let pageToken = "", more = true; more; more = pageToken !== "") {
      const answer = await reader.workflows.list({ project: "p0", pageSize: 2, pageToken });
      found.push(...answer.workflows.map(({ id }) => id));
      pageToken = answer.nextPageToken;
    }
    const wanted = made.filter((_, index) => index % 2 === 0).map(({ workflow }) => workflow?.id ?? "");
    expect(found).toEqual(wanted.toSorted().reverse());
    const first = await admin.tokens.list({ pageSize: 2 });
    const second = await admin.tokens.list({ pageSize: 2, pageToken: first.nextPageToken });
    expect([first.tokens.length, second.tokens.length, second.nextPageToken]).toEqual([2, 1, ""]);
    expect(uuidv7() > (first.tokens[0]?.id ?? "")).toBe(true);
  });
});
