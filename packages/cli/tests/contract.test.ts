import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(120_000);

const text = "# kept as it is\r\nkind: Contract\n\n";

let folder = "";
let constellation: Constellation;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-contract-"));
  await writeFile(path.join(folder, "contract.yaml"), text);
  await writeFile(path.join(folder, "broken.yaml"), "a: 1\nb: [1,\n");
  await writeFile(path.join(folder, "empty.yaml"), " \n");
  await writeFile(path.join(folder, "large.yaml"), `a: ${"x".repeat(1024 * 1024)}`);
  constellation = await startConstellation({ shape: "processes", backend: "filesystem" });
  ({ cli, json } = cliOf(constellation));
});
afterAll(async () => {
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

const file = (name: string) => path.join(folder, name);

describe("contract", () => {
  test("create, show, update and list keep the text as it is", async () => {
    const made = await cli([
      "contract",
      "create",
      "web",
      file("contract.yaml"),
      "--project",
      "web",
      "--description",
      "d",
    ]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toMatch(/^project +web$/m);
    expect(made.stdout).toMatch(/^size +33 bytes$/m);
    expect((await cli(["contract", "show", "web"])).stdoutBytes).toEqual(Buffer.from(text));

    const updated = await cli(["contract", "update", "web", "-"], { stdin: '{"kind": 2}' });
    expect(updated.stdout).toMatch(/^latest revision +2\nformat +json$/m);
    const same = await cli(["contract", "update", "web", "-"], { stdin: '{"kind": 2}' });
    expect(same).toMatchObject({ code: 0, stderr: "the text was the latest already\n" });
    expect((await cli(["contract", "show", "web"])).stdout).toBe('{"kind": 2}');
    expect((await cli(["contract", "show", "web", "--revision", "1"])).stdout).toBe(text);
    expect((await cli(["contract", "show", "web", "-o", "table"])).stdout).toMatch(/^contract +web$/m);
    const shown = await json("contract", "show", "web", "--revision", "1");
    expect(shown).toMatchObject({
      contract: { name: "web", description: "d", latestRevision: 2 },
      revision: { revision: 1, text, format: "yaml" },
    });
    const absent = await cli(["contract", "show", "web", "--revision", "9"]);
    expect(absent).toMatchObject({ code: 3, stderr: expect.stringContaining("(CONTRACT_REVISION_NOT_FOUND)") });

    await cli(["contract", "create", "bare"]);
    const list = await cli(["contract", "list"]);
    expect(list.stdout).toMatch(/^bare +any +1 .*\nweb +web +2 /m);
    expect(await json("contract", "list", "--project", "web")).toMatchObject({ contracts: [{ name: "web" }] });
  });

  test.each([
    ["create", ["x", "broken.yaml"], 1, /line 3, column 1 \(CONTRACT_INVALID\)/],
    ["create", ["x", "empty.yaml"], 1, /expected a contract, .*empty.yaml has none \(CONTRACT_INVALID\)/],
    ["create", ["x", "large.yaml"], 1, /at most 1 MiB, .*large.yaml has more \(CONTRACT_INVALID\)/],
    ["create", ["x", "absent.yaml"], 1, /no such file/],
    ["create", ["a/b", "contract.yaml"], 2, /\(NAME_INVALID\)/],
    ["update", ["nobodys", "contract.yaml"], 3, /\(CONTRACT_NOT_FOUND\)\nhint: `attestry contract list`/],
    ["update", ["nobodys"], 2, /give a file, --description, or both/],
  ])("%s %j is refused", async (command, [name = "", text], code, says) => {
    const refused = await cli(["contract", command, name, ...(text === undefined ? [] : [file(text)])]);
    expect(refused.stderr).toMatch(says);
    expect(refused.code).toBe(code);
  });
});

describe("workflow, run and project", () => {
  test("create and show a workflow with its contract and last run", async () => {
    const made = await cli([
      "workflow",
      "create",
      "shop/build",
      "--team",
      "web",
      "--contract-file",
      file("contract.yaml"),
    ]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toMatch(/^contract +shop-build \(revision 1\)\nruns +0\nlast run +-$/m);
    expect((await cli(["contract", "show", "shop-build"])).stdout).toBe(text);
    const again = await cli(["workflow", "create", "shop/build"]);
    expect(again).toMatchObject({ code: 0, stderr: "shop/build was there already\n" });

    const args = ["shop/build", "--contract-revision", "1", "--runner", "HERE", "--project-version", "2.1"];
    const run = await json<{ id: string }>("run", "start", ...args);
    expect(run).toMatchObject({
      contractRevision: 1,
      runner: "HERE",
      projectVersion: { version: "2.1", latest: true },
    });
    const shown = await cli(["workflow", "show", "shop/build"]);
    expect(shown.stdout).toMatch(new RegExp(`^runs +1\nlast run +${run.id} \\(initialized\\)$`, "m"));
    expect((await cli(["workflow", "list"])).stdout).toMatch(
      /^shop\/build +shop-build \(revision 1\) +1 +initialized /m,
    );
    const got = (await cli(["run", "get", run.id])).stdout;
    expect(got).toMatch(/^project version +2\.1$/m);
    expect(got).toMatch(/^token +[0-9a-f-]{36}$/m);

    const refused = await cli(["run", "start", "shop/build", "--contract-revision", "2"]);
    expect(refused.stderr).toMatch(/it has the revisions 1 to 1 \(CONTRACT_REVISION_NOT_FOUND\)\nhint: /);
    expect(refused.code).toBe(3);
  });

  test("a version is shown, released, and filters runs", async () => {
    const { id } = await json<{ id: string }>("run", "start", "app/one", "--project-version", "1");
    await json("run", "start", "app/one");
    const filtered = await json<{ runs: { id: string }[] }>(
      "run",
      "list",
      "--workflow",
      "app",
      "--project-version",
      "1",
    );
    expect(filtered.runs.map((run) => run.id)).toEqual([id]);
    expect(await json("project", "version", "app")).toMatchObject({ version: "1", prerelease: true, releasedAt: null });
    expect((await cli(["project", "release", "app", "1"])).stdout).toMatch(/^released +20\d\d-/m);
    expect(await json("project", "version", "app", "1")).toMatchObject({ prerelease: false });
    const absent = await cli(["project", "release", "app", "2"]);
    expect(absent).toMatchObject({ code: 3, stderr: expect.stringContaining("(PROJECT_VERSION_NOT_FOUND)") });
  });
});
