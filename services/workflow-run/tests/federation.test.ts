import { Role } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { useFederation } from "./federation-world.ts";

const world = useFederation();

describe("an ID token is exchanged", () => {
  test("for a token that does what the rule gives, and no more", async () => {
    await world.addRule();
    const { token, secret } = await world.exchange(await world.issuer.github());
    expect(token?.name).toMatch(/^release\.repo-acme-app-ref-refs-heads-main\.[0-9a-f]{8}$/);
    const lives = (token?.expiresAt ? timestampDate(token.expiresAt).getTime() : 0) - Date.now();
    expect(lives).toBeGreaterThan(500_000);
    expect(lives).toBeLessThanOrEqual(600_000);
    const ci = world.harness.as(secret);
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    expect((await world.admin.runs.get({ by: { case: "runId", value: run?.id ?? "" } })).run?.project).toBe("p");
    await expectRefusal(ci.tokens.list({}), "PermissionDenied", "ROLE_INSUFFICIENT");
    // The resource of the event: what it wrote can be asked about when the token is forgotten.
    expect(run?.tokenId).toBe(token?.id);

    const [event] = (await world.admin.audit.list({ action: "token.exchange" })).events;
    expect(event).toMatchObject({
      actor: expect.stringMatching(/^federation rule release \([0-9a-f-]{36}\)$/),
      resource: `token ${token?.id}`,
      detail: {
        ...{ name: token?.name, role: "ci", issuer: world.issuer.url, subject: "repo:acme/app:ref:refs/heads/main" },
        ...{ "claim.repository": "acme/app", "claim.ref": "refs/heads/main" },
      },
    });
  });

  test("of GitLab, for a reader; an audience in a list counts", async () => {
    await world.addRule({
      conditions: ["project_path=acme/*", "ref_protected=true", "project_id=22"],
      role: Role.READER,
    });
    const { secret } = await world.exchange(await world.issuer.gitlab({ aud: ["other", "attestry"] }));
    await world.harness.as(secret).runs.list({});
    const create = world.harness.as(secret).runs.create({ project: "p", workflow: "w" });
    await expectRefusal(create, "PermissionDenied", "ROLE_INSUFFICIENT");
  });

  test("by the first rule that fits; more than once", async () => {
    await world.addRule({ name: "tags", conditions: ["ref=refs/tags/*"] });
    await world.addRule({ name: "first", role: Role.READER });
    await world.addRule({ name: "second" });
    const token = await world.issuer.github();
    const [one, two] = await Promise.all([world.exchange(token), world.exchange(token)]);
    expect([one.token?.name, two.token?.name]).toEqual([
      expect.stringMatching(/^first/),
      expect.stringMatching(/^first/),
    ]);
    await world.admin.federation.delete({ name: "first" });
    expect((await world.exchange(token)).token).toMatchObject({
      role: Role.CI,
      name: expect.stringMatching(/^second/),
    });
  });

  test("a revoked one is refused; it was made by nobody else's rule", async () => {
    await world.addRule();
    const { token, secret } = await world.exchange(await world.issuer.github());
    await world.admin.tokens.revoke({ token: token?.name ?? "" });
    const replica = await world.harness.createReplica();
    await expect(replica.authenticator.authenticate(`Bearer ${secret}`)).rejects.toMatchObject({
      code: "TOKEN_REVOKED",
    });
    await replica.destroy();
  });

  test("100 at once fetch the keys once", async () => {
    await world.addRule();
    const tokens = await Promise.all(
      Array.from({ length: 100 }, (_, run) => world.issuer.github({ run_id: `${run}` })),
    );
    const made = await Promise.all(tokens.map((token) => world.exchange(token)));
    expect(new Set(made.map((one) => one.token?.id)).size).toBe(100);
    expect(world.issuer.requests.sort()).toEqual(["/.well-known/openid-configuration", "/jwks"]);
  });
});

describe("rules", () => {
  test("are made, listed in their order, and deleted, and each change is told", async () => {
    await world.addRule({ name: "b" });
    await world.addRule({ name: "a" });
    const { rules } = await world.admin.federation.list({});
    expect(rules.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(rules[0]).toMatchObject({ issuer: world.issuer.url, lifetimeSeconds: 600n, role: Role.CI });
    expect(rules[0]?.conditions[1]).toMatchObject({ claim: "ref", pattern: "refs/heads/*" });
    await expectRefusal(world.addRule({ name: "a" }), "AlreadyExists", "FEDERATION_RULE_EXISTS");
    await world.admin.federation.delete({ name: "b" });
    await expectRefusal(world.admin.federation.delete({ name: "b" }), "NotFound", "FEDERATION_RULE_NOT_FOUND");
    const { events } = await world.admin.audit.list({});
    expect(events.map(({ action, detail }) => `${action} ${detail.name}`).slice(0, 3)).toEqual([
      ...["federation.delete b", "federation.create a", "federation.create b"],
    ]);
  });

  test("are bounded in number", async () => {
    const all = await Promise.allSettled(
      Array.from({ length: 53 }, (_, index) => world.addRule({ name: `r${index}` })),
    );
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(50);
    await expectRefusal(world.addRule({ name: "more" }), "FailedPrecondition", "FEDERATION_RULE_LIMIT");
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
    await expectRefusal(world.admin.federation.create({ rule: { ...rule, ...changes } }), "InvalidArgument", reason);
    expect((await world.admin.federation.list({})).rules).toEqual([]);
  });
});

test("federated tokens are forgotten a week after they ran out, others and the last one revoked never", async () => {
  await world.addRule();
  const tokens = await Promise.all(
    [1, 2, 3, 4].map(async () => (await world.exchange(await world.issuer.github())).token),
  );
  const [old, revoked, last, young] = tokens.map((token) => token?.id);
  await world.admin.tokens.revoke({ token: revoked ?? "" });
  await world.admin.tokens.revoke({ token: last ?? "" });
  const { token: plain } = await world.admin.tokens.create({ name: "plain", role: Role.CI, lifetimeSeconds: 1n });
  await world.harness.pool.query("update token set expires_at = now() - interval '8 days' where id = any($1::uuid[])", [
    [old, revoked, last, plain?.id],
  ]);
  expect(await world.harness.context.tokens.forgetFederated(10)).toBe(2);
  const left = (await world.admin.tokens.list({})).tokens.map(({ id }) => id);
  const ids = [old, revoked, last, young, plain?.id];
  expect(ids.map((id) => left.includes(id ?? ""))).toEqual([false, false, true, true, true]);
});
