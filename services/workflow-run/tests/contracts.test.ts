import { ContractFormat } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const bytes = (text: string) => Buffer.from(text);
const textOf = (revision: { text: Uint8Array } | undefined) => Buffer.from(revision?.text ?? []).toString();
const many = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

describe("a contract", () => {
  test("keeps each text exactly as it was given, in revisions", async () => {
    const { ci, reader } = await harness.organization("texts");
    const first = "# kept \r\nkind: Contract\n\n";
    const made = await ci.contracts.create({ name: "c", project: "p", description: "d", text: bytes(first) });
    expect(made).toMatchObject({
      contract: { name: "c", project: "p", description: "d", latestRevision: 1, workflows: [] },
      revision: { revision: 1, format: ContractFormat.YAML },
    });
    const second = '{ "kind" : "Contract", "kind": 2 }';
    const updated = await ci.contracts.update({ name: "c", text: bytes(second) });
    expect(updated).toMatchObject({
      contract: { latestRevision: 2, description: "d" },
      revision: { revision: 2, format: ContractFormat.JSON },
      changed: true,
    });
    expect(updated.contract?.latestRevisionCreatedAt).toEqual(updated.revision?.createdAt);
    expect(await ci.contracts.update({ name: "c", text: bytes(second) })).toMatchObject({ changed: false });
    expect(await ci.contracts.update({ name: "c", description: "" })).toMatchObject({
      contract: { description: "", latestRevision: 2 },
      changed: false,
    });
    expect(await ci.contracts.update({ name: "c", text: bytes(first) })).toMatchObject({ revision: { revision: 3 } });

    const texts = await many(4, (revision) => reader.contracts.get({ name: "c", revision }));
    expect(texts.map(({ revision }) => textOf(revision))).toEqual([first, first, second, first]);
    expect(new Set(texts.map(({ revision }) => revision?.id)).size).toBe(3);
    const refused = await refusal(reader.contracts.get({ name: "c", revision: 4 }));
    expect(refused).toMatchObject({ code: "NotFound", reason: "CONTRACT_REVISION_NOT_FOUND" });
    expect(refused.message).toContain("revisions 1 to 3");
  });

  test("without a text asks for nothing, as Chainloop writes it", async () => {
    const { ci } = await harness.organization("empty-text");
    const { revision } = await ci.contracts.create({ name: "any.thing" });
    expect(textOf(revision)).toBe(
      "apiVersion: chainloop.dev/v1\nkind: Contract\nmetadata:\n    name: any.thing\nspec: {}\n",
    );
    expect(revision?.format).toBe(ContractFormat.YAML);
  });

  test("has revisions that are append-only and counted by the database, and is never without one", async () => {
    const { ci, id } = await harness.organization("append");
    const { contract } = await ci.contracts.create({ name: "c" });
    for (const change of [
      "update contract_revision set text = 'x'",
      "delete from contract_revision",
      "truncate contract_revision cascade",
    ])
      await expect(harness.pool.query(change)).rejects.toThrow(/append-only/);
    const insert = `insert into contract_revision (organization_id, contract_id, revision, id, text, format)
      values ($1, $2, $3, gen_random_uuid(), 'a: 1', 'yaml')`;
    await expect(harness.pool.query(insert, [id, contract?.id, 3])).rejects.toThrow(/not the next revision/);
    await expect(harness.pool.query(insert, [id, contract?.id, 1])).rejects.toThrow();
    await expect(
      harness.pool.query("insert into contract (organization_id, id, name) values ($1, gen_random_uuid(), 'bare')", [
        id,
      ]),
    ).rejects.toThrow(/contract_has_latest/);
    await harness.pool.query(insert, [id, contract?.id, 2]);
    expect(await ci.contracts.get({ name: "c" })).toMatchObject({ contract: { latestRevision: 2 } });
  });

  test("that many update at once has a revision for each text, and none is lost", async () => {
    const { ci, admin } = await harness.organization("updates");
    await ci.contracts.create({ name: "c" });
    const text = (index: number) => `n: ${index % 20}\n`;
    const answers = await many(40, (index) => ci.contracts.update({ name: "c", text: bytes(text(index)) }));
    const made = answers.filter(({ changed }) => changed);
    const revisions = made.map(({ revision }) => revision?.revision ?? 0).sort((a, b) => a - b);
    expect(revisions).toEqual(Array.from({ length: made.length }, (_, index) => index + 2));
    expect(answers.map(({ revision }) => textOf(revision))).toEqual(answers.map((_, index) => text(index)));
    const { contract } = await ci.contracts.get({ name: "c" });
    expect(contract?.latestRevision).toBe(made.length + 1);
    const kept = await many(made.length, (index) => ci.contracts.get({ name: "c", revision: index + 2 }));
    const texts = kept.map(({ revision }) => textOf(revision));
    expect(new Set(texts).size).toBe(20);
    expect(texts.filter((one, index) => one === texts[index - 1])).toEqual([]);
    expect((await admin.audit.list({ action: "contract.update", pageSize: 200 })).events).toHaveLength(made.length);
  });

  test("that many create at once is made once", async () => {
    const { ci } = await harness.organization("creates");
    const outcomes = await many(10, async () => {
      const call = ci.contracts.create({ name: "c" });
      return call.then(
        () => "made",
        async () => (await refusal(call)).reason,
      );
    });
    const refused = outcomes.filter((outcome) => outcome === "CONTRACT_EXISTS");
    expect([refused.length, outcomes.filter((outcome) => outcome === "made").length]).toEqual([9, 1]);
  });

  test("is told to the audit log when it is made and when it changes, and by whom", async () => {
    const { ci, admin } = await harness.organization("told");
    const { contract } = await ci.contracts.create({ name: "c", project: "p" });
    await ci.contracts.update({ name: "c", text: bytes("a: 1"), description: "new" });
    await ci.contracts.update({ name: "c", text: bytes("a: 1"), description: "new" });
    const { events } = await admin.audit.list({});
    const actor = expect.stringMatching(/^token role-2 /);
    expect(events.filter(({ action }) => action.startsWith("contract."))).toMatchObject([
      {
        ...{ action: "contract.update", actor, resource: `contract ${contract?.id}` },
        detail: {
          ...{ name: "c", "description.old": "", "description.new": "new" },
          ...{ "revision.old": "1", "revision.new": "2" },
        },
      },
      { action: "contract.create", actor, resource: `contract ${contract?.id}`, detail: { name: "c", project: "p" } },
    ]);
  });

  test("is another organization's alone", async () => {
    const mine = await harness.organization("mine");
    const other = await harness.organization("other");
    await mine.ci.contracts.create({ name: "c" });
    await expectRefusal(other.admin.contracts.get({ name: "c" }), "NotFound", "CONTRACT_NOT_FOUND");
    await expectRefusal(other.admin.contracts.update({ name: "c" }), "NotFound", "CONTRACT_NOT_FOUND");
    await expectRefusal(
      other.ci.workflows.findOrCreate({ project: "p", name: "w", contract: "c" }),
      "NotFound",
      "CONTRACT_NOT_FOUND",
    );
    expect((await other.admin.contracts.list({})).contracts).toEqual([]);
    expect((await other.ci.contracts.create({ name: "c", text: bytes("b: 2") })).revision?.revision).toBe(1);
    expect(textOf((await mine.reader.contracts.get({ name: "c" })).revision)).toContain("spec: {}");
    await expectRefusal(mine.reader.contracts.create({ name: "d" }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(mine.reader.contracts.update({ name: "c" }), "PermissionDenied", "ROLE_INSUFFICIENT");
  });
});

describe("the list of contracts", () => {
  test("goes on page by page, newest first, with the workflows of each", async () => {
    const { ci, reader } = await harness.organization("lists");
    for (let index = 0; index < 5; index++) await ci.contracts.create({ name: `c${index}`, project: `p${index % 2}` });
    await ci.workflows.findOrCreate({ project: "p0", name: "b", contract: "c0" });
    const { workflow } = await ci.workflows.findOrCreate({ project: "p0", name: "a", contract: "c0" });
    const read = async (project: string, pageSize: number) => {
      const found = [];
      let pageToken = "";
      do {
        const page = await reader.contracts.list({ project, pageSize, pageToken });
        found.push(...page.contracts);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    };
    const all = await read("", 2);
    expect(all.map(({ name }) => name)).toEqual(["c4", "c3", "c2", "c1", "c0"]);
    expect(all.at(-1)?.workflows.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(all.at(-1)?.workflows[0]).toMatchObject({ id: workflow?.id, project: "p0", name: "a" });
    expect((await read("p0", 1)).map(({ name }) => name)).toEqual(["c4", "c2", "c0"]);
    const { nextPageToken: pageToken } = await reader.contracts.list({ project: "p0", pageSize: 1 });
    await expectRefusal(reader.contracts.list({ pageToken }), "InvalidArgument", "PAGE_TOKEN_INVALID");
    const at = all[0]?.createdAt && timestampDate(all[0].createdAt).getTime();
    expect(Math.abs(Date.now() - (at ?? 0))).toBeLessThan(60_000);
  });
});
