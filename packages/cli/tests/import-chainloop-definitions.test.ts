import { ContractService, ProjectService, WorkflowService } from "@attestry/api/run";
import { afterEach, expect, jest, test } from "@jest/globals";
import { ChainloopDatabase } from "../src/chainloop/chainloop-database.ts";
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
      get({ name }) {
        const texts = kept.contracts.get(name)?.texts;
        if (texts === undefined) throw refusal(Code.NotFound, "CONTRACT_NOT_FOUND", "there is none");
        return { revision: { revision: texts.length, text: Buffer.from(texts.at(-1) ?? "") } };
      },
      update({ name, text }) {
        kept.contracts.get(name)?.texts.push(Buffer.from(text ?? []).toString());
        return { changed: true };
      },
    });
    router.service(WorkflowService, {
      findOrCreate({ project, name, contract, description, team }) {
        const workflow = [project, name, contract, description, team].join("|");
        const created = !kept.workflows.includes(workflow);
        if (created) kept.workflows.push(workflow);
        return { created };
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

async function importDefinitions(source: ChainloopSource, server: FakeServer) {
  const { signal } = new AbortController();
  const context = new Context({ addr: server.url }, { timeoutMs: 30_000, stallMs: 1_000, signal });
  const database = await ChainloopDatabase.open(source.url, signal);
  const counts = { contracts: 0, revisions: 0, workflows: 0, releasedVersions: 0 };
  const faults: string[] = [];
  try {
    const [organization] = await database.organizations();
    const definitions = new DefinitionsImport({
      ...{ context, source: database.definitions, organizationId: organization?.id ?? "", counts },
      onFault: (what) => faults.push(what),
    });
    await definitions.contractsAndWorkflows();
    await definitions.releasedVersions();
    return { counts, faults };
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

/** Gives the contract of that name these texts, in order. */
async function addTexts(source: ChainloopSource, contract: string, texts: readonly string[]): Promise<void> {
  for (const [index, text] of texts.entries()) {
    await source.query(
      `insert into workflow_contract_versions (id, raw_body, raw_body_format, revision, workflow_contract_versions)
       select gen_random_uuid(), $2, 'yaml', $3, id from workflow_contracts where name = $1`,
      [contract, Buffer.from(text), index + 1],
    );
  }
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
  await addTexts(source, "web-build", ["schemaVersion: v1\n", "schemaVersion: v1\nmaterials: []\n"]);

  const kept: Kept = { contracts: new Map(), workflows: [], released: [] };
  const server = await startDefinitions(kept);
  expect(await importDefinitions(source, server)).toEqual({
    counts: { contracts: 1, revisions: 2, workflows: 1, releasedVersions: 1 },
    faults: [],
  });
  expect([...kept.contracts]).toEqual([
    ["web-build", { project: "web", texts: ["schemaVersion: v1\n", "schemaVersion: v1\nmaterials: []\n"] }],
  ]);
  expect(kept.workflows).toEqual(["web|build|web-build|makes it|web"]);
  expect(kept.released).toEqual(["web 1.0"]);

  expect((await importDefinitions(source, server)).counts).toMatchObject({ contracts: 0, revisions: 0, workflows: 0 });
  await addTexts(source, "web-build", []);
  await source.query(
    `insert into workflow_contract_versions (id, raw_body, raw_body_format, revision, workflow_contract_versions)
     select gen_random_uuid(), 'third', 'yaml', 3, id from workflow_contracts where name = 'web-build'`,
  );
  expect((await importDefinitions(source, server)).counts).toMatchObject({ contracts: 0, revisions: 1 });
  expect(kept.contracts.get("web-build")?.texts.at(-1)).toBe("third");
});

test("a contract that was changed here goes its own way; one that is refused is named, and the others go on", async () => {
  const source = await chainloop("2025-01");
  await source.addRun({ project: "a", workflow: "x" });
  await source.addRun({ project: "a", workflow: "with blank" });
  await source.addRun({ project: "a", workflow: "z" });
  for (const name of ["a-x", "a-with blank", "a-z"]) await addTexts(source, name, [`${name} 1`, `${name} 2`]);
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

test("a server that keeps no contracts yet is given none", async () => {
  const source = await chainloop();
  await source.addRun({});
  await addTexts(source, "demo-build", ["schemaVersion: v1\n"]);
  const server = await startFakeServer((router) => {
    router.service(WorkflowService, { findOrCreate: () => ({ created: true }) });
  });
  ended.push(() => server.stop());
  expect(await importDefinitions(source, server)).toEqual({
    counts: { contracts: 0, revisions: 0, workflows: 1, releasedVersions: 0 },
    faults: [],
  });
});
