import { type FederationRule, Role } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Clients, type Harness, startHarness } from "./harness.ts";
import { TestIssuer } from "./test-issuer.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ privateIssuers: true });
});
afterAll(() => harness.stop());

let issuer: TestIssuer;
let organization: string;
let admin: Clients;
let made = 0;
beforeEach(async () => {
  issuer = new TestIssuer();
  await issuer.start();
  organization = `federated-${++made}`;
  ({ admin } = await harness.organization(organization));
});
afterEach(() => issuer.stop());

const anybody = () => harness.as("").federation;
const exchange = (idToken: string, from = organization) => anybody().exchange({ organization: from, idToken });

/** A rule for pushes to a branch of acme/app. */
function addRule(changes: Partial<Pick<FederationRule, "name" | "issuer" | "role">> & { conditions?: string[] } = {}) {
  const { conditions = ["repository=acme/app", "ref=refs/heads/*"], ...rest } = changes;
  const parsed = conditions.map((text) => {
    const [claim = "", pattern = ""] = text.split(/=(.*)/s);
    return { claim, pattern };
  });
  const rule = { name: "release", issuer: issuer.url, audience: "attestry", role: Role.CI, lifetimeSeconds: 600n };
  return admin.federation.create({ rule: { ...rule, conditions: parsed, ...rest } });
}

describe("an ID token is exchanged", () => {
  test("for a token that does what the rule gives, and no more", async () => {
    await addRule();
    const { token, secret } = await exchange(await issuer.github());
    expect(token?.name).toMatch(/^release\.repo-acme-app-ref-refs-heads-main\.[0-9a-f]{8}$/);
    const lives = (token?.expiresAt ? timestampDate(token.expiresAt).getTime() : 0) - Date.now();
    expect(lives).toBeGreaterThan(500_000);
    expect(lives).toBeLessThanOrEqual(600_000);
    const ci = harness.as(secret);
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    expect((await admin.runs.get({ by: { case: "runId", value: run?.id ?? "" } })).run?.project).toBe("p");
    await expectRefusal(ci.tokens.list({}), "PermissionDenied", "ROLE_INSUFFICIENT");

    const [event] = (await admin.audit.list({ action: "token.exchange" })).events;
    expect(event).toMatchObject({
      actor: expect.stringMatching(/^federation rule release \([0-9a-f-]{36}\)$/),
      resource: `token ${token?.id}`,
      detail: {
        ...{ name: token?.name, role: "ci", issuer: issuer.url, subject: "repo:acme/app:ref:refs/heads/main" },
        ...{ "claim.repository": "acme/app", "claim.ref": "refs/heads/main" },
      },
    });
  });

  test("of GitLab, for a reader; an audience in a list counts", async () => {
    await addRule({ conditions: ["project_path=acme/*", "ref_protected=true", "project_id=22"], role: Role.READER });
    const { secret } = await exchange(await issuer.gitlab({ aud: ["other", "attestry"] }));
    await harness.as(secret).runs.list({});
    const create = harness.as(secret).runs.create({ project: "p", workflow: "w" });
    await expectRefusal(create, "PermissionDenied", "ROLE_INSUFFICIENT");
  });

  test("by the first rule that fits; more than once", async () => {
    await addRule({ name: "tags", conditions: ["ref=refs/tags/*"] });
    await addRule({ name: "first", role: Role.READER });
    await addRule({ name: "second" });
    const token = await issuer.github();
    const [one, two] = await Promise.all([exchange(token), exchange(token)]);
    expect([one.token?.name, two.token?.name]).toEqual([
      expect.stringMatching(/^first/),
      expect.stringMatching(/^first/),
    ]);
    await admin.federation.delete({ name: "first" });
    expect((await exchange(token)).token).toMatchObject({ role: Role.CI, name: expect.stringMatching(/^second/) });
  });

  test("a revoked one is refused; it was made by nobody else's rule", async () => {
    await addRule();
    const { token, secret } = await exchange(await issuer.github());
    await admin.tokens.revoke({ token: token?.name ?? "" });
    const replica = await harness.createReplica();
    await expect(replica.authenticator.authenticate(`Bearer ${secret}`)).rejects.toMatchObject({
      code: "TOKEN_REVOKED",
    });
    await replica.destroy();
  });

  test("100 at once fetch the keys once", async () => {
    await addRule();
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, run) => issuer.github({ run_id: `${run}` })));
    const made = await Promise.all(tokens.map((token) => exchange(token)));
    expect(new Set(made.map((one) => one.token?.id)).size).toBe(100);
    expect(issuer.requests.sort()).toEqual(["/.well-known/openid-configuration", "/jwks"]);
  });
});

describe("an ID token is refused", () => {
  const soon = () => Math.floor(Date.now() / 1_000);
  const bad: [what: string, token: () => Promise<string>][] = [
    ["with another audience", () => issuer.github({ aud: "sts.amazonaws.com" })],
    ["with an audience that only begins so", () => issuer.github({ aud: "attestry.evil.test" })],
    ["of another repository", () => issuer.github({ repository: "acme/app2" })],
    ["of a repository in another case", () => issuer.github({ repository: "Acme/app" })],
    ["of a tag", () => issuer.github({ ref: "refs/tags/v1" })],
    ["whose claim is a list", () => issuer.github({ repository: ["acme/app"] })],
    ["that ran out", () => issuer.github({ exp: soon() - 60 })],
    ["without end", () => issuer.github({ exp: undefined })],
    ["without iat", () => issuer.github({ iat: undefined })],
    ["without subject", () => issuer.github({ sub: undefined })],
    ["that begins later", () => issuer.github({ nbf: soon() + 600 })],
    ["made in the future", () => issuer.github({ iat: soon() + 600, exp: soon() + 900 })],
    ["of an issuer that no rule names", () => issuer.github({ iss: `${issuer.url}/acme` })],
    ["of an issuer with a slash more", () => issuer.github({ iss: `${issuer.url}/` })],
    ["with alg none", async () => issuer.unsigned(await issuer.github())],
    ["with the public key as a secret", async () => issuer.withPublicKeyAsSecret(await issuer.github())],
    ["with another's signature", foreign],
    ["that is none", () => Promise.resolve("garbage")],
    ["that is empty", () => Promise.resolve("")],
    ["that is huge", async () => issuer.github({ padding: "x".repeat(20_000) })],
  ];
  test.each(bad)("%s", async (_what, token) => {
    await addRule();
    const before = (await admin.tokens.list({})).tokens.length;
    const refused = await refusal(exchange(await token()));
    expect(refused).toMatchObject({ code: "PermissionDenied", reason: "FEDERATION_REFUSED", retry: false });
    // No value of a claim or of the rule.
    expect(refused.message).not.toMatch(/acme|refs|amazonaws|evil/);
    expect((await admin.tokens.list({})).tokens).toHaveLength(before);
  });

  async function foreign(): Promise<string> {
    const other = new TestIssuer();
    await other.start();
    const token = await other.github({ iss: issuer.url });
    await other.stop();
    return token;
  }

  test("by an organization that is not there as by one without a rule", async () => {
    const token = await issuer.github();
    const [absent, without] = [await refusal(exchange(token, "nobody")), await refusal(exchange(token))];
    expect(absent.message.replaceAll("nobody", organization)).toBe(without.message);
    expect({ ...absent, message: "" }).toEqual({ ...without, message: "" });
    expect(issuer.requests).toEqual([]);
  });
});

describe("an issuer", () => {
  test("below a path is asked there, and is another than what looks like it", async () => {
    const enterprise = new TestIssuer("/acme");
    await enterprise.start();
    await addRule({ issuer: enterprise.url });
    await exchange(await enterprise.github());
    expect(enterprise.requests.sort()).toEqual(["/acme/.well-known/openid-configuration", "/acme/jwks"]);
    for (const iss of [enterprise.url.replace("/acme", ""), `${enterprise.url}/`, `${enterprise.url}/x`]) {
      await expectRefusal(exchange(await enterprise.github({ iss })), "PermissionDenied", "FEDERATION_REFUSED");
    }
    await enterprise.stop();
  });

  test("that rotated its key is asked anew; unknown keys make nobody ask more often", async () => {
    await addRule();
    const old = await issuer.github();
    await exchange(old);
    await issuer.rotate();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => issuer.github()));
    // The keys are not 30 s old.
    for (const token of tokens) await expectRefusal(exchange(token), "PermissionDenied", "FEDERATION_REFUSED");
    expect(issuer.requests).toHaveLength(2);
  });

  const wrong: [what: string, answer: NonNullable<TestIssuer["answer"]>][] = [
    ["that fails", (_request, response) => Boolean(response.writeHead(500).end())],
    [
      "that sends elsewhere",
      (_request, response) => Boolean(response.writeHead(302, { location: `${issuer.url}/x` }).end()),
    ],
    ["that sends no JSON", (_request, response) => Boolean(response.end("<html>"))],
    ["that sends too much", (_request, response) => Boolean(response.end(`"${"x".repeat(1_000_000)}"`))],
    [
      "that calls itself otherwise",
      (_request, response) => Boolean(response.end(JSON.stringify({ issuer: "https://other.test" }))),
    ],
    [
      "whose keys are elsewhere",
      (_request, response) =>
        Boolean(response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: "http://127.0.0.2:1/jwks" }))),
    ],
    ["that hangs", () => true],
  ];
  test.each(wrong)("%s is unavailable, and is left alone for a while", async (_what, answer) => {
    await addRule();
    issuer.answer = answer;
    const token = await issuer.github();
    for (let turn = 0; turn < 3; turn++) {
      expect(await refusal(exchange(token))).toMatchObject({
        reason: "ISSUER_UNAVAILABLE",
        code: "Unavailable",
        retry: true,
      });
    }
    expect(issuer.requests).toHaveLength(1);
  });

  test("that is down is unavailable", async () => {
    await addRule();
    const token = await issuer.github();
    await issuer.stop();
    expect(await refusal(exchange(token))).toMatchObject({ reason: "ISSUER_UNAVAILABLE", retry: true });
    await issuer.start();
  });
});

describe("rules", () => {
  test("are made, listed in their order, and deleted, and each change is told", async () => {
    await addRule({ name: "b" });
    await addRule({ name: "a" });
    const { rules } = await admin.federation.list({});
    expect(rules.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(rules[0]).toMatchObject({ issuer: issuer.url, lifetimeSeconds: 600n, role: Role.CI });
    expect(rules[0]?.conditions[1]).toMatchObject({ claim: "ref", pattern: "refs/heads/*" });
    await expectRefusal(addRule({ name: "a" }), "AlreadyExists", "FEDERATION_RULE_EXISTS");
    await admin.federation.delete({ name: "b" });
    await expectRefusal(admin.federation.delete({ name: "b" }), "NotFound", "FEDERATION_RULE_NOT_FOUND");
    const { events } = await admin.audit.list({});
    expect(events.map(({ action, detail }) => `${action} ${detail.name}`).slice(0, 3)).toEqual([
      ...["federation.delete b", "federation.create a", "federation.create b"],
    ]);
  });

  test("are bounded in number", async () => {
    const all = await Promise.allSettled(Array.from({ length: 53 }, (_, index) => addRule({ name: `r${index}` })));
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(50);
    await expectRefusal(addRule({ name: "more" }), "FailedPrecondition", "FEDERATION_RULE_LIMIT");
  });

  const bad: [what: string, reason: string, changes: object][] = [
    ["no condition", "REQUEST_INVALID", { conditions: [] }],
    ["a condition that lets all in", "REQUEST_INVALID", { conditions: [{ claim: "sub", pattern: "*" }] }],
    ["one of what every token has", "REQUEST_INVALID", { conditions: [{ claim: "iss", pattern: "https://*" }] }],
    [
      "two conditions of one claim",
      "REQUEST_INVALID",
      { conditions: [1, 2].map(() => ({ claim: "ref", pattern: "x" })) },
    ],
    ["a condition without a claim", "REQUEST_INVALID", { conditions: [{ claim: "", pattern: "x" }] }],
    [
      "too many conditions",
      "REQUEST_INVALID",
      { conditions: Array.from({ length: 21 }, (_, i) => ({ claim: `c${i}`, pattern: "x" })) },
    ],
    ["no audience", "REQUEST_INVALID", { audience: "" }],
    ["an admin's role", "ROLE_INVALID", { role: Role.ADMIN }],
    ["no role", "ROLE_INVALID", { role: 0 }],
    ["a lifetime of more than an hour", "LIFETIME_INVALID", { lifetimeSeconds: 3_601n }],
    ["a lifetime of less than a minute", "LIFETIME_INVALID", { lifetimeSeconds: 59n }],
    ["no issuer", "ISSUER_INVALID", { issuer: "" }],
    ["an issuer over plain http", "ISSUER_INVALID", { issuer: "http://id.example.test" }],
    ["an issuer at the metadata of a cloud", "ISSUER_INVALID", { issuer: "https://169.254.169.254" }],
    ["a bad name", "NAME_INVALID", { name: "A b" }],
  ];
  test.each(bad)("with %s are refused", async (_what, reason, changes) => {
    const conditions = [{ claim: "repository", pattern: "acme/app" }];
    const rule = { name: "r", issuer: "https://id.example.test", audience: "attestry", role: Role.CI, conditions };
    await expectRefusal(admin.federation.create({ rule: { ...rule, ...changes } }), "InvalidArgument", reason);
    expect((await admin.federation.list({})).rules).toEqual([]);
  });
});

test("federated tokens are forgotten a week after they ran out, others and the last one revoked never", async () => {
  await addRule();
  const tokens = await Promise.all([1, 2, 3, 4].map(async () => (await exchange(await issuer.github())).token));
  const [old, revoked, last, young] = tokens.map((token) => token?.id);
  await admin.tokens.revoke({ token: revoked ?? "" });
  await admin.tokens.revoke({ token: last ?? "" });
  const { token: plain } = await admin.tokens.create({ name: "plain", role: Role.CI, lifetimeSeconds: 1n });
  await harness.pool.query("update token set expires_at = now() - interval '8 days' where id = any($1::uuid[])", [
    [old, revoked, last, plain?.id],
  ]);
  expect(await harness.context.tokens.forgetFederated(10)).toBe(2);
  const left = (await admin.tokens.list({})).tokens.map(({ id }) => id);
  const ids = [old, revoked, last, young, plain?.id];
  expect(ids.map((id) => left.includes(id ?? ""))).toEqual([false, false, true, true, true]);
});
