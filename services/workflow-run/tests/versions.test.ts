import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const bytes = (text: string) => Buffer.from(text);
const many = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

type Organization = Awaited<ReturnType<Harness["organization"]>>;
type Version = Parameters<Harness["admin"]["runs"]["create"]>[0]["projectVersion"];

async function start({ ci }: Organization, projectVersion: Version, workflow = "w") {
  const { run } = await ci.runs.create({ project: "p", workflow, ...(projectVersion && { projectVersion }) });
  return run;
}

async function versionsOf({ id }: Organization): Promise<string[]> {
  const { rows } = await harness.pool.query<{ version: string; latest: boolean }>(
    "select version, latest from project_version where organization_id = $1 order by version",
    [id],
  );
  return rows.map(({ version, latest }) => (latest ? `${version} (latest)` : version));
}

describe("the version of a run", () => {
  test("is none unless it is asked for, and v0 if it has no name", async () => {
    const organization = await harness.organization("names");
    expect((await start(organization, undefined))?.projectVersion).toBeUndefined();
    expect(await versionsOf(organization)).toEqual([]);
    const run = await start(organization, {});
    expect(run?.projectVersion).toMatchObject({ version: "v0", prerelease: true, latest: true });
    const { reader } = organization;
    expect((await reader.runs.get({ by: { case: "runId", value: run?.id ?? "" } })).run).toEqual(run);
    expect((await reader.projects.getVersion({ project: "p" })).version).toEqual(run?.projectVersion);
    expect((await start(organization, {}, "v"))?.projectVersion).toEqual(run?.projectVersion);
  });

  test("is made if it is not there, and the latest unless that is not wanted", async () => {
    const organization = await harness.organization("marks");
    expect((await start(organization, { version: "1", markLatest: false }))?.projectVersion).toMatchObject({
      latest: true,
    });
    expect((await start(organization, { version: "2", markLatest: false }))?.projectVersion).toMatchObject({
      latest: false,
    });
    expect(await versionsOf(organization)).toEqual(["1 (latest)", "2"]);
    await start(organization, { version: "3" });
    await start(organization, { version: "1" });
    expect(await versionsOf(organization)).toEqual(["1", "2", "3 (latest)"]);
    expect((await start(organization, { version: "2", markLatest: true }))?.projectVersion).toMatchObject({
      latest: true,
    });
    expect(await versionsOf(organization)).toEqual(["1", "2 (latest)", "3"]);
    expect((await start(organization, {}))?.projectVersion?.version).toBe("2");
  });

  test("that must be there and is not is refused, and nothing is made", async () => {
    const organization = await harness.organization("must-exist");
    const refused = await refusal(start(organization, { version: "9", mustExist: true }));
    expect(refused).toMatchObject({ code: "NotFound", reason: "PROJECT_VERSION_NOT_FOUND" });
    expect(refused.message).toContain('no version "9"');
    await expectRefusal(start(organization, { mustExist: true }), "NotFound", "PROJECT_VERSION_NOT_FOUND");
    expect((await organization.reader.workflows.list({})).workflows).toEqual([]);
    expect(await versionsOf(organization)).toEqual([]);
    await start(organization, { version: "9" });
    expect((await start(organization, { version: "9", mustExist: true }))?.projectVersion?.version).toBe("9");
    await expectRefusal(start(organization, { version: "x".repeat(129) }), "InvalidArgument", "REQUEST_INVALID");
  });

  test("is one of its project and its organization alone", async () => {
    const [one, two] = [await harness.organization("one"), await harness.organization("two")];
    await start(one, { version: "1" });
    const ask = { project: "p", version: "1" };
    await expectRefusal(two.admin.projects.getVersion(ask), "NotFound", "PROJECT_VERSION_NOT_FOUND");
    await expectRefusal(two.admin.projects.releaseVersion(ask), "NotFound", "PROJECT_VERSION_NOT_FOUND");
    await expectRefusal(start(two, { version: "1", mustExist: true }), "NotFound", "PROJECT_VERSION_NOT_FOUND");
    await expectRefusal(
      one.reader.projects.getVersion({ project: "q", version: "1" }),
      "NotFound",
      "PROJECT_VERSION_NOT_FOUND",
    );
    const named = await one.reader.projects.getVersion(ask);
    const id = named.version?.id ?? "";
    expect(named.project).toBe("p");
    expect(await one.reader.projects.getVersion({ id: id.toUpperCase() })).toEqual(named);
    await expectRefusal(two.admin.projects.getVersion({ id }), "NotFound", "PROJECT_VERSION_NOT_FOUND");
    await expectRefusal(one.reader.projects.getVersion({ ...ask, id }), "InvalidArgument", "REQUEST_INVALID");
    await expectRefusal(one.reader.projects.getVersion({ id: "1" }), "InvalidArgument", "REQUEST_INVALID");
    expect((await two.reader.runs.list({ project: "p", projectVersion: "1" })).runs).toEqual([]);
    expect((await one.reader.projects.getVersion(ask)).version?.prerelease).toBe(true);
  });

  test("that 20 ask for at once is made once, and of 20 new ones one is the latest", async () => {
    const organization = await harness.organization("at-once");
    const same = await many(20, (index) => start(organization, { version: "same" }, `w${index % 3}`));
    expect(new Set(same.map((run) => run?.projectVersion?.id)).size).toBe(1);
    await many(20, (index) => start(organization, { version: `v${index}`, ...(index % 2 && { markLatest: true }) }));
    await many(20, (index) => start(organization, { version: `v${index}`, markLatest: true }));
    const versions = await versionsOf(organization);
    expect(versions).toHaveLength(21);
    expect(versions.filter((version) => version.endsWith("(latest)"))).toHaveLength(1);
  });
});

describe("a release", () => {
  test("is for good, told once, and keeps the version from becoming the latest", async () => {
    const organization = await harness.organization("release");
    const { ci, reader, admin } = organization;
    const { projectVersion } = (await start(organization, { version: "1" })) ?? {};
    await start(organization, { version: "2" });
    const answers = await many(5, () => ci.projects.releaseVersion({ project: "p", version: "1" }));
    const [first] = answers;
    expect(first?.version).toMatchObject({ id: projectVersion?.id, prerelease: false, latest: false });
    expect(answers.every(({ version }) => version?.releasedAt?.nanos === first?.version?.releasedAt?.nanos)).toBe(true);
    expect((await reader.projects.getVersion({ project: "p", version: "1" })).version).toEqual(first?.version);
    expect((await admin.audit.list({ action: "project.release" })).events).toMatchObject([
      { resource: `project version ${projectVersion?.id}`, detail: { project: "p", version: "1" } },
    ]);
    const promote = start(organization, { version: "1", markLatest: true });
    await expectRefusal(promote, "FailedPrecondition", "PROJECT_VERSION_RELEASED");
    expect((await start(organization, { version: "1" }))?.projectVersion).toEqual(first?.version);
    await expectRefusal(ci.projects.releaseVersion({ project: "p" }), "InvalidArgument", "REQUEST_INVALID");
    await expectRefusal(
      reader.projects.releaseVersion({ project: "p", version: "2" }),
      "PermissionDenied",
      "ROLE_INSUFFICIENT",
    );
  });
});

describe("the contract's revision that a run names", () => {
  test("is noted, and has to be there", async () => {
    const { ci } = await harness.organization("revisions");
    const create = (contractRevision: number) => ci.runs.create({ project: "p", workflow: "w", contractRevision });
    const early = await refusal(create(1));
    expect(early).toMatchObject({ code: "NotFound", reason: "CONTRACT_REVISION_NOT_FOUND" });
    expect(early.message).toContain("no such workflow yet");
    await ci.workflows.findOrCreate({ project: "p", name: "w" });
    expect((await create(1)).run?.contractRevision).toBe(1);
    await ci.contracts.update({ name: "p-w", text: bytes("a: 1") });
    const late = await refusal(create(3));
    expect(late).toMatchObject({ reason: "CONTRACT_REVISION_NOT_FOUND" });
    expect(late.message).toContain("has no revision 3: it has the revisions 1 to 2");
    expect((await create(1)).run?.contractRevision).toBe(1);
    expect((await create(2)).run?.contractRevision).toBe(2);
    expect((await create(0)).run?.contractRevision).toBe(2);
    await expectRefusal(create(-1), "InvalidArgument", "REQUEST_INVALID");
  });

  test("does not matter to a retry: the key gives the run that was started", async () => {
    const { ci, reader } = await harness.organization("retries");
    await ci.workflows.findOrCreate({ project: "p", name: "w" });
    const create = () =>
      ci.runs.create({
        ...{ project: "p", workflow: "w", idempotencyKey: "k", contractRevision: 1, runner: "HERE" },
        projectVersion: { version: "1" },
      });
    const { run } = await create();
    await ci.contracts.update({ name: "p-w", text: bytes("a: 1") });
    await ci.runs.create({ project: "p", workflow: "w", projectVersion: { version: "2" } });
    const again = (await create()).run;
    expect(again).toMatchObject({ id: run?.id, contractRevision: 1, runner: "HERE" });
    expect(again?.projectVersion).toMatchObject({ version: "1", latest: false });
    await many(20, () =>
      ci.runs.create({ project: "p", workflow: "w", idempotencyKey: "l", projectVersion: { version: "3" } }),
    );
    expect((await reader.runs.list({ project: "p", projectVersion: "3" })).runs).toHaveLength(1);
  });
});

describe("a list of runs by version", () => {
  test("has those of the version, page by page, of the project or of one workflow", async () => {
    const organization = await harness.organization("lists");
    const { reader } = organization;
    const ids: string[] = [];
    for (let index = 0; index < 12; index++) {
      const run = await start(organization, index % 3 === 0 ? undefined : { version: `${index % 3}` }, `w${index % 2}`);
      ids.push(run?.id ?? "");
    }
    const read = async (projectVersion: string, workflow = "") => {
      const found: string[] = [];
      let pageToken = "";
      do {
        const page = await reader.runs.list({ project: "p", workflow, projectVersion, pageSize: 1, pageToken });
        found.push(...page.runs.map(({ id }) => id));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    };
    const wanted = (keep: (index: number) => boolean) => ids.filter((_, index) => keep(index)).toReversed();
    expect(await read("1")).toEqual(wanted((index) => index % 3 === 1));
    expect(await read("2", "w1")).toEqual(wanted((index) => index % 3 === 2 && index % 2 === 1));
    expect(await read("none")).toEqual([]);
    await expectRefusal(reader.runs.list({ projectVersion: "1" }), "InvalidArgument", "REQUEST_INVALID");
    const { nextPageToken: pageToken } = await reader.runs.list({ project: "p", projectVersion: "1", pageSize: 1 });
    await expectRefusal(
      reader.runs.list({ project: "p", projectVersion: "2", pageToken }),
      "InvalidArgument",
      "PAGE_TOKEN_INVALID",
    );
  });
});

describe("block_on_policy_violation", () => {
  test("is the organization's, told when it changes, and stays with runs that began before", async () => {
    const { admin, ci, reader, id } = await harness.organization("blocks");
    const before = (await ci.runs.create({ project: "p", workflow: "w" })).run;
    const { organization } = await admin.organizations.update({ blockOnPolicyViolation: true });
    expect(organization?.blockOnPolicyViolation).toBe(true);
    await admin.organizations.update({ blockOnPolicyViolation: true, storageMode: 1 });
    expect((await reader.organizations.get({})).organization?.blockOnPolicyViolation).toBe(true);
    const { events } = await admin.audit.list({ action: "organization.update" });
    expect(events.at(-1)).toMatchObject({
      resource: `organization ${id}`,
      detail: { "block_on_policy_violation.old": "false", "block_on_policy_violation.new": "true" },
    });
    expect(events[0]?.detail).not.toHaveProperty("block_on_policy_violation.new");
    const after = (await ci.runs.create({ project: "p", workflow: "w", projectVersion: {} })).run;
    expect([before?.blockOnPolicyViolation, after?.blockOnPolicyViolation]).toEqual([false, true]);
    const { runs } = await reader.runs.list({});
    expect(runs.map((run) => run.blockOnPolicyViolation)).toEqual([true, false]);
  });
});
