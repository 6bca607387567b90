import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { FederationService, type FederationServiceExchangeRequest, Role } from "@attestry/api/run";
import { afterAll, afterEach, beforeAll, expect, jest, test } from "@jest/globals";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(60_000);

let server: FakeServer;
let asked: FederationServiceExchangeRequest[] = [];
let removed = "";
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "cli-federation-"));
  server = await startFakeServer(({ service }) => {
    service(FederationService, {
      create: ({ rule }) => (rule === undefined ? {} : { rule: { ...rule, id: "r1" } }),
      list: () => ({ rules: [{ name: "release", issuer: "https://id.test", role: Role.CI, lifetimeSeconds: 900n }] }),
      delete: ({ name }) => {
        removed = name;
        return {};
      },
      exchange: (request) => {
        asked.push(request);
        if (request.organization === "nobody") throw refusal(Code.PermissionDenied, "FEDERATION_REFUSED", "no rule");
        return { token: { id: "t1", name: "release.x.1" }, secret: "the-secret" };
      },
    });
  });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => {
  asked = [];
});

const cli = (args: string[], env: Record<string, string> = {}) => attestry([...args, "--addr", server.url], { env });
const exchange = (env: Record<string, string>, ...more: string[]) =>
  cli(["token", "exchange", "--org", "acme", "-o", "json", ...more], env);

test("rules: added with their claims, listed, removed", async () => {
  const add = ["federation", "add", "release", "--issuer", "https://id.test", "--audience", "attestry", "--role", "ci"];
  const claims = ["--claim", "repository=acme/app", "--claim", "sub=a=b"];
  const { stdout } = await cli([...add, ...claims, "--lifetime", "10m", "-o", "json"]);
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ name: "release", issuer: "https://id.test", audience: "attestry", role: "ci", lifetimeSeconds: 600 },
    conditions: [
      { claim: "repository", pattern: "acme/app" },
      { claim: "sub", pattern: "a=b" },
    ],
  });
  for (const wrong of [add, [...add, "--claim", "repository"], [...add, "--claim", "=x"]]) {
    expect((await cli(wrong)).code).toBe(2);
  }
  expect((await cli(["federation", "list"])).stdout).toMatch(/release +ci +https:\/\/id\.test/);
  await cli(["federation", "remove", "release"]);
  expect(removed).toBe("release");
});

const github = "https://token.actions.githubusercontent.com";
test.each([
  [github, ["ref=refs/heads/main", "environment=release"], "repository_id or repository_owner_id"],
  [github, ["repository=**"], "repository_id or repository_owner_id"],
  ["https://gitlab.com", ["ref_protected=true"], "project_id or namespace_id"],
  ["https://id.test", ["ref=main"], "sub"],
])("a rule for %s of %j says on stderr that it asks nothing of whose pipeline it is", async (issuer, claims, such) => {
  const { code, stderr } = await addOf(issuer, claims);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^no claim says whose pipeline it is: .*\n$/);
  expect(stderr).toContain(`of ${issuer} `);
  expect(stderr).toContain(`such as ${such}\n`);
});

test.each(["repository", "repository_owner_id", "project_id", "sub"])(
  "a rule that asks for %s says nothing of the kind",
  async (claim) => {
    expect(await addOf("https://id.test", ["ref=*", `${claim}=acme*`])).toMatchObject({ code: 0, stderr: "" });
  },
);

function addOf(issuer: string, claims: string[]) {
  const rule = ["federation", "add", "release", "--issuer", issuer, "--audience", "attestry", "--role", "ci"];
  return cli([...rule, ...claims.flatMap((claim) => ["--claim", claim])]);
}

test("the ID token comes from a file or a variable", async () => {
  const file = path.join(folder, "id-token");
  await writeFile(file, "from-file\n");
  const { stdout } = await exchange({ ATTESTRY_ID_TOKEN: "from-variable" }, "--id-token-file", file);
  expect(JSON.parse(stdout)).toMatchObject({ name: "release.x.1", secret: "the-secret" });
  await exchange({ ATTESTRY_ID_TOKEN: "from-variable" });
  expect(asked.map(({ organization, idToken }) => [organization, idToken])).toEqual([
    ["acme", "from-file"],
    ["acme", "from-variable"],
  ]);
  expect((await exchange({}, "--id-token-file", path.join(folder, "none"))).stderr).toContain("FILE_UNREADABLE");
});

test("GitHub Actions is asked for one, with the audience; what goes wrong there is said without its secrets", async () => {
  const requests: [url?: string, authorization?: string][] = [];
  let answer = { status: 200, body: '{"value":"from-github"}' };
  const github = http.createServer((request, response) => {
    requests.push([request.url ?? "", request.headers.authorization ?? ""]);
    response.writeHead(answer.status).end(answer.body);
  });
  github.listen(0, "127.0.0.1");
  await once(github, "listening");
  const url = `http://127.0.0.1:${(github.address() as AddressInfo).port}/token?api-version=2.0`;
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-secret" };
  await exchange(env, "--audience", "my attestry");
  expect(asked[0]?.idToken).toBe("from-github");
  expect(requests).toEqual([["/token?api-version=2.0&audience=my+attestry", "Bearer request-secret"]]);
  for (const wrong of [
    { status: 500, body: "" },
    { status: 200, body: "{}" },
    { status: 200, body: "<" },
  ]) {
    answer = wrong;
    const { code, stderr } = await exchange(env);
    expect([code, stderr.includes("ID_TOKEN_MISSING"), stderr.includes("request-secret")]).toEqual([4, true, false]);
  }
  github.closeAllConnections();
  github.close();
});

test("no ID token, and a refusal, are faults of who calls", async () => {
  const none = await exchange({});
  expect([none.code, none.stderr.includes("ID_TOKEN_MISSING")]).toEqual([4, true]);
  const refused = await cli(["token", "exchange", "--org", "nobody"], { ATTESTRY_ID_TOKEN: "x" });
  expect([refused.code, refused.stderr.includes("FEDERATION_REFUSED")]).toEqual([4, true]);
});
