import { ContractService, ProjectService, WorkflowService } from "@attestry/api/run";
import { afterEach, expect, jest, test } from "@jest/globals";
import { ChainloopDatabase, type SourceRun } from "../src/chainloop/chainloop-database.ts";
import { ContractRevisions } from "../src/chainloop/contract-revisions.ts";
import { DefinitionsImport } from "../src/chainloop/definitions.ts";
import { Context } from "../src/context.ts";
import { type ChainloopSource, createChainloop } from "./chainloop-source.ts";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";

jest.setTimeout(60_000);

const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

interface Kept {
  contracts: Map<string, { project: string; texts: string[] }>;
  workflows: string[];
  released: string[];
  /** What contracts workflows have that are not of their own. */
  contractOf?: (workflow: string) => string | undefined;
}

/** Contracts, workflows and versions as workflow-run keeps them, as far as an import sees it. */
async function startDefinitions(kept: Kept): Promise<FakeServer> {
  const server = await startFakeServer((router) => {
    router.service(ContractService, {
      create({ name, project, text }) {
        if (name.includes(" ")) throw refusal(Code.InvalidArgument, "NAME_INVALID", "a name has no blanks");
        kept.contracts.set(name, { project, texts: [Buffer.from(text).toString()] });
        return {};
      },
      get({ name, revision: asked }) {
        const texts = kept.contracts.get(name)?.texts;
        if (texts === undefined) throw refusal(Code.NotFound, "CONTRACT_NOT_FOUND", "there is none");
        const revision = asked || texts.length;
        return { revision: { revision, text: Buffer.from(texts[revision - 1] ?? "") } };
      },
      update({ name, text }) {
        const texts = kept.contracts.get(name)?.texts ?? [];
        const next = Buffer.from(text ?? []).toString();
        if (next === "refused") throw refusal(Code.InvalidArgument, "CONTRACT_INVALID", "not this one");
        const changed = texts.at(-1) !== next;
        if (changed) texts.push(next);
        return { changed, revision: { revision: texts.length } };
      },
    });
    router.service(WorkflowService, {
      findOrCreate({ project, name, contract, description, team }) {
        const workflow = [project, name, contract, description, team].join("|");
        const created = !kept.workflows.includes(workflow);
        if (created) kept.workflows.push(workflow);
        return { created, workflow: { contract: kept.contractOf?.(name) ?? contract } };
      },
    });
    router.service(ProjectService, {
      releaseVersion({ project, version }) {
        if (version === "unused") throw refusal(Code.NotFound, "PROJECT_VERSION_NOT_FOUND", "there is none");
        kept.released.push(`${project} ${version}`);
        return {};
      },
    });
  });
  ended.push(() => server.stop());
  return server;
}

const nameOf = ({ workflow, digest }: SourceRun) => `${workflow} ${digest}`;

async function importDefinitions(source: ChainloopSource, server: FakeServer) {
  const { signal } = new AbortController();
  const context = new Context({ addr: server.url }, { timeoutMs: 30_000, stallMs: 1_000, signal });
  const database = await ChainloopDatabase.open(source.url, signal);
  const counts = { contracts: 0, revisions: 0, workflows: 0, releasedVersions: 0 };
  const faults: string[] = [];
  const revisions = new ContractRevisions();
  try {
    const [organization] = await database.organizations();
    const definitions = new DefinitionsImport({
      ...{ context, source: database.definitions, organizationId: organization?.id ?? "", counts, revisions },
      onFault: (what) => faults.push(what),
    });
    await definitions.contractsAndWorkflows();
    await definitions.releasedVersions();
    const used: [string, number][] = [];
    for await (const page of database.runs(organization?.id ?? "", undefined))
      for (const run of page) used.push([nameOf(run), revisions.usedBy(run)]);
    return { counts, faults, used };
  } finally {
    await database.close();
    context.services.close();
  }
}

async function chainloop(version: "2025-01" | "2026" = "2026"): Promise<ChainloopSource> {
  const source = await createChainloop(version);
  ended.push(() => source.drop());
  return source;
}

test("contracts with each revision, workflows and released versions; again nothing new, and what was added since", async () => {
  const source = await chainloop();
  await source.addRun({ project: "web", workflow: "build" });
  await source.addRun({ project: "web", workflow: "gone" });
  await source.addRun({ project: "web", workflow: "build", version: "1.0" });
  await source.addRun({ project: "web", workflow: "build", version: "unused" });
  await source.addRun({ organization: "globex", project: "theirs", workflow: "build" });
  await source.query("update project_versions set prerelease = false where version in ('1.0', 'unused')");
  await source.query("update workflows set deleted_at = now() where name = 'gone'");
  await source.query("update workflow_contracts set deleted_at = now() where name = 'web-gone'");
  await source.query("update workflows set description = 'makes it', team = 'web' where name = 'build'");
  await source.query(
    `update workflow_contracts set scoped_resource_type = 'project', scoped_resource_id = (select id from projects where name = 'web')
     where name = 'web-build'`,
  );
  await source.addTexts("web-build", ["schemaVersion: v1\n", "schemaVersion: v1\nmaterials: []\n"]);

  const kept: Kept = { contracts: new Map(), workflows: [], released: [] };
  const server = await startDefinitions(kept);
  expect(await importDefinitions(source, server)).toEqual({
    counts: { contracts: 1, revisions: 2, workflows: 1, releasedVersions: 1 },
    faults: [],
    used: [],
  });
  expect([...kept.contracts]).toEqual([
    ["web-build", { project: "web", texts: ["schemaVersion: v1\n", "schemaVersion: v1\nmaterials: []\n"] }],
  ]);
  expect(kept.workflows).toEqual(["web|build|web-build|makes it|web"]);
  expect(kept.released).toEqual(["web 1.0"]);

  expect((await importDefinitions(source, server)).counts).toMatchObject({ contracts: 0, revisions: 0, workflows: 0 });
  await source.addTexts("web-build", ["third"]);
  expect((await importDefinitions(source, server)).counts).toMatchObject({ contracts: 0, revisions: 1 });
  expect(kept.contracts.get("web-build")?.texts.at(-1)).toBe("third");
});

test("a contract that was changed here goes its own way; one that is refused is named, and the others go on", async () => {
  const source = await chainloop("2025-01");
  await source.addRun({ project: "a", workflow: "x" });
  await source.addRun({ project: "a", workflow: "with blank" });
  await source.addRun({ project: "a", workflow: "z" });
  for (const name of ["a-x", "a-with blank", "a-z"]) await source.addTexts(name, [`${name} 1`, `${name} 2`]);
  const kept: Kept = {
    contracts: new Map([["a-x", { project: "", texts: ["changed here"] }]]),
    workflows: [],
    released: [],
  };
  const { counts, faults } = await importDefinitions(source, await startDefinitions(kept));
  expect(faults).toEqual(["contract a-with blank"]);
  expect(counts).toMatchObject({ contracts: 1, revisions: 2, workflows: 3 });
  expect(kept.contracts.get("a-x")?.texts).toEqual(["changed here"]);
  expect(kept.contracts.get("a-z")?.texts).toEqual(["a-z 1", "a-z 2"]);
});

test("runs are of the revision here that has the text that they used; it is not known of those of other contracts", async () => {
  const source = await chainloop();
  for (const workflow of ["build", "cue", "elsewhere"]) await source.addRun({ project: "a", workflow });
  await source.addTexts("a-build", ["one", "two", "two", "one", "three"]);
  await source.addTexts("a-cue", ["one", "refused", "three"]);
  await source.addTexts("a-elsewhere", ["one"]);
  const used = (workflow: string, digest: string, contractRevision?: number, contract?: string) =>
    source.addRun({
      ...{ project: "a", workflow, digest },
      ...(contractRevision !== undefined && { contractRevision }),
      ...(contract !== undefined && { contract }),
    });
  for (const revision of [1, 2, 3, 4, 5]) await used("build", `used ${revision}`, revision);
  await used("build", "another's", 1, "a-cue");
  await used("build", "not noted");
  for (const revision of [1, 2, 3]) await used("cue", `used ${revision}`, revision);
  await used("elsewhere", "used 1", 1);
  const kept: Kept = {
    ...{ contracts: new Map(), workflows: [], released: [] },
    contractOf: (workflow) => (workflow === "elsewhere" ? "made-here" : undefined),
  };
  const server = await startDefinitions(kept);
  const expected = new Map([
    ...[1, 2, 2, 3, 4].map((number, index) => [`build used ${index + 1}`, number] as const),
    ...(["build another's", "build not noted"] as const).map((run) => [run, 0] as const),
    ...[1, 0, 0].map((number, index) => [`cue used ${index + 1}`, number] as const),
    ["elsewhere used 1", 0],
  ]);
  const first = await importDefinitions(source, server);
  expect(first.faults).toEqual(["contract a-cue"]);
  expect(first.counts).toMatchObject({ contracts: 3, revisions: 6 });
  expect(new Map(first.used)).toEqual(expected);
  // Found here, in place of made.
  const again = await importDefinitions(source, server);
  expect(again.counts).toMatchObject({ contracts: 0, revisions: 0 });
  expect(new Map(again.used)).toEqual(expected);
  // A new revision after ones that were merged.
  await source.addTexts("a-build", ["four"]);
  expect((await importDefinitions(source, server)).counts).toMatchObject({ revisions: 1 });
  // Other texts here, but for the first.
  kept.contracts.set("a-build", { project: "", texts: ["one", "other"] });
  const changed = new Map((await importDefinitions(source, server)).used);
  expect([1, 2, 3, 4, 5].map((revision) => changed.get(`build used ${revision}`))).toEqual([1, 0, 0, 0, 0]);
  expect(kept.contracts.get("a-build")?.texts).toEqual(["one", "other"]);
});

test.each(["workflow_run_contract_version", "contract_revision_used"])(
  "a database without %s is read all the same",
  async (column) => {
    const source = await chainloop("2025-01");
    await source.addRun({ project: "a" });
    await source.addTexts("a-build", ["one", "two"]);
    await source.addRun({ project: "a", digest: "used 1", contractRevision: 1 });
    await source.query(`alter table workflow_runs drop column ${column}`);
    const { used } = await importDefinitions(
      source,
      await startDefinitions({ contracts: new Map(), workflows: [], released: [] }),
    );
    expect(used).toEqual([["build used 1", column === "contract_revision_used" ? 1 : 0]]);
  },
);

test("a server that keeps no contracts yet is given none", async () => {
  const source = await chainloop();
  await source.addRun({});
  await source.addTexts("demo-build", ["schemaVersion: v1\n"]);
  const server = await startFakeServer((router) => {
    router.service(WorkflowService, { findOrCreate: () => ({ created: true }) });
  });
  ended.push(() => server.stop());
  expect(await importDefinitions(source, server)).toEqual({
    counts: { contracts: 0, revisions: 0, workflows: 1, releasedVersions: 0 },
    faults: [],
    used: [],
  });
});
