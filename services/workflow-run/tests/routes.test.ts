import { BackendProvider, BackendStatus, CancelTrigger, Role, RunState, StorageMode } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const digest = (byte: string) => `sha256:${byte.repeat(32)}`;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

describe("organizations", () => {
  test("are created with an inline default backend, found, updated and listed", async () => {
    const { admin } = harness;
    const { organization } = await admin.organizations.create({ name: "acme", storageMode: StorageMode.SPOOL });
    expect(organization).toMatchObject({ name: "acme", storageMode: StorageMode.SPOOL });
    await expectRefusal(admin.organizations.create({ name: "acme" }), "AlreadyExists", "ORGANIZATION_EXISTS");
    const cas = await admin.organizations.update({ name: "acme", storageMode: StorageMode.CAS });
    expect(cas.organization?.storageMode).toBe(StorageMode.CAS);
    expect((await admin.organizations.update({ name: "acme" })).organization?.storageMode).toBe(StorageMode.CAS);
    const none = await admin.organizations.update({ name: "acme", storageMode: StorageMode.UNSPECIFIED });
    expect(none.organization?.storageMode).toBe(StorageMode.UNSPECIFIED);
    const names = (await admin.organizations.list({})).organizations.map(({ name }) => name);
    expect(names.slice(-1)).toEqual(["default"]);
    expect(names).toContain("acme");
  });

  test("are invisible to each other, and only instance admins make them", async () => {
    const one = await harness.organization("one");
    await harness.organization("two");
    await expectRefusal(one.admin.organizations.get({ name: "two" }), "NotFound", "ORGANIZATION_NOT_FOUND");
    await expectRefusal(one.admin.organizations.update({ name: "two" }), "NotFound", "ORGANIZATION_NOT_FOUND");
    await expectRefusal(one.admin.organizations.create({ name: "three" }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(
      one.admin.tokens.create({ name: "x", role: Role.CI, organization: "two" }),
      "NotFound",
      "ORGANIZATION_NOT_FOUND",
    );
    expect((await one.reader.organizations.list({})).organizations.map(({ name }) => name)).toEqual(["one"]);
    expect((await one.reader.organizations.get({})).organization?.name).toBe("one");
  });

  test("are listed in pages for the other services, all of them", async () => {
    const all = (await harness.admin.organizations.list({ pageSize: 200 })).organizations.map(({ id }) => id);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await harness.gatewayService.organizations.list({ pageSize: 2, pageToken });
      seen.push(...page.organizations.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toEqual(all);
    expect((await harness.ingest.organizations.list({ pageSize: 200 })).organizations.map(({ id }) => id)).toEqual(all);
  });
});

describe("runs", () => {
  test("start, complete and are found by id and digest; what is of another organization is not found", async () => {
    const { ci, reader, id } = await harness.organization("runs");
    const other = await harness.organization("runs-other");
    const { run } = await ci.runs.create({ project: "p", workflow: "w", jobUrl: "https://ci.example/1" });
    expect(run).toMatchObject({ project: "p", workflow: "w", state: RunState.INITIALIZED, backendName: "inline" });
    const runId = run?.id ?? "";
    const ask = { organizationId: id, runId, digest: digest("ab") };
    const plan = await harness.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 9n });
    expect(plan).toMatchObject({ backendProvider: BackendProvider.INLINE, casToken: "", project: "p", workflow: "w" });
    const completion = { ...ask, planGivenAt: plan.planGivenAt as never };
    await harness.ingest.runs.complete(completion);
    await harness.ingest.runs.complete(completion);
    await harness.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 9n });
    const done = await reader.runs.get({ by: { case: "runId", value: runId.toUpperCase() } });
    expect(done.run).toMatchObject({ state: RunState.SUCCESS, attestationDigest: digest("ab") });
    expect(done.run?.finishedAt).toBeDefined();
    const later = await ci.runs.create({ project: "p", workflow: "w" });
    await harness.ingest.runs.complete({ ...completion, runId: later.run?.id ?? "" });
    const byDigest = await reader.runs.get({ by: { case: "digest", value: digest("ab") } });
    expect(byDigest.run?.id).toBe(later.run?.id);

    const byId = { by: { case: "runId" as const, value: runId } };
    await expectRefusal(other.reader.runs.get(byId), "NotFound", "RUN_NOT_FOUND");
    await expectRefusal(other.ci.runs.cancel({ runId }), "NotFound", "RUN_NOT_FOUND");
    const foreign = { ...completion, organizationId: other.id };
    await expectRefusal(harness.ingest.runs.complete(foreign), "NotFound", "RUN_NOT_FOUND");
    const elsewhere = { ...completion, digest: digest("cd") };
    await expectRefusal(harness.ingest.runs.complete(elsewhere), "AlreadyExists", "RUN_HAS_OTHER_ATTESTATION");
    const otherPlan = harness.ingest.runs.getStoragePlan({ ...elsewhere, sizeBytes: 9n });
    await expectRefusal(otherPlan, "AlreadyExists", "RUN_HAS_OTHER_ATTESTATION");
    await expectRefusal(ci.runs.cancel({ runId }), "FailedPrecondition", "RUN_FINISHED");
  });

  test("are cancelled once, and then store nothing", async () => {
    const { ci, id } = await harness.organization("cancels");
    for (const [trigger, state, reason] of [
      [CancelTrigger.UNSPECIFIED, RunState.CANCELLED, "RUN_CANCELLED"],
      [CancelTrigger.FAILURE, RunState.ERROR, "RUN_FAILED"],
    ] as const) {
      const { run } = await ci.runs.create({ project: "p", workflow: "w" });
      const runId = run?.id ?? "";
      const cancelled = await ci.runs.cancel({ runId, trigger, reason: "stopped\nby hand" });
      expect(cancelled.run).toMatchObject({ state, reason: "stopped\nby hand" });
      expect((await ci.runs.cancel({ runId, trigger, reason: "again" })).run?.reason).toBe("stopped\nby hand");
      const planGivenAt = { seconds: 1n, nanos: 0 };
      const complete = harness.ingest.runs.complete({ organizationId: id, runId, digest: digest("ab"), planGivenAt });
      await expectRefusal(complete, "FailedPrecondition", reason);
      const upload = ci.credentials.issueCasToken({ purpose: { case: "uploadForRun", value: { runId } } });
      await expectRefusal(upload, "FailedPrecondition", reason);
    }
  });

  test("an idempotency key starts one run, and is good for one workflow", async () => {
    const { ci } = await harness.organization("keys");
    const ask = { project: "p", workflow: "w", idempotencyKey: "job 1/attempt 2" };
    const first = await ci.runs.create(ask);
    await ci.runs.cancel({ runId: first.run?.id ?? "" });
    const again = await ci.runs.create(ask);
    expect(again.run).toMatchObject({ id: first.run?.id ?? "", state: RunState.CANCELLED });
    const reused = ci.runs.create({ ...ask, workflow: "v" });
    await expectRefusal(reused, "AlreadyExists", "IDEMPOTENCY_KEY_REUSED");
    await expectRefusal(ci.workflows.get({ project: "p", name: "v" }), "NotFound", "WORKFLOW_NOT_FOUND");
    const other = await harness.organization("keys-other");
    expect((await other.ci.runs.create(ask)).run?.id).not.toBe(first.run?.id);
  });
});

test("an organization is found by its id, by a service alone", async () => {
  const { admin, id, name } = await harness.organization("by-id");
  const get = (ask: { id?: string; name?: string }) => harness.ingest.organizations.get(ask);
  expect((await get({ id })).organization).toMatchObject({ id, name });
  await expectRefusal(get({ id: "01930000-0000-7000-8000-00000000000b" }), "NotFound", "ORGANIZATION_NOT_FOUND");
  await expectRefusal(get({ name }), "InvalidArgument", "REQUEST_INVALID");
  await expectRefusal(admin.organizations.get({ id }), "InvalidArgument", "REQUEST_INVALID");
  await expectRefusal(harness.gatewayService.organizations.get({ id }), "PermissionDenied", "ROLE_INSUFFICIENT");
});

describe("backends", () => {
  test("are validated, made the default, kept by runs, and deleted only when free", async () => {
    const { admin, ci, id, reader } = await harness.organization("backends");
    const secretRef = "_shared/local";
    const made = await admin.backends.create({ name: "a", provider: BackendProvider.FILESYSTEM, secretRef });
    expect(made.backend).toMatchObject({ status: BackendStatus.VALID, isDefault: false, maxBytes: 10_485_760n });
    expect(made.backend?.validatedAt).toBeDefined();
    const { run: before } = await ci.runs.create({ project: "p", workflow: "w" });
    const updated = await admin.backends.update({ name: "a", isDefault: true, maxBytes: 5n });
    expect(updated.backend).toMatchObject({ isDefault: true, maxBytes: 5n });
    const { run: after } = await ci.runs.create({ project: "p", workflow: "w" });
    expect([before?.backendName, after?.backendName]).toEqual(["inline", "a"]);
    await expectRefusal(admin.backends.delete({ name: "a" }), "FailedPrecondition", "BACKEND_IS_DEFAULT");
    await expectRefusal(admin.backends.delete({ name: "inline" }), "FailedPrecondition", "BACKEND_IN_USE");
    await admin.backends.create({ name: "b", provider: BackendProvider.S3, secretRef: "mine", isDefault: true });
    await expectRefusal(admin.backends.delete({ name: "a" }), "FailedPrecondition", "BACKEND_IN_USE");
    await admin.backends.create({ name: "c", provider: BackendProvider.S3, secretRef: "mine", prefix: "c" });
    await admin.backends.delete({ name: "c" });
    await expectRefusal(admin.backends.delete({ name: "c" }), "NotFound", "BACKEND_NOT_FOUND");
    const { backends } = await reader.backends.list({});
    expect(backends.map(({ name, isDefault }) => [name, isDefault])).toEqual([
      ["a", false],
      ["b", true],
      ["inline", false],
    ]);
    expect(backends.at(-1)).toMatchObject({ maxBytes: 512_000n, status: BackendStatus.VALID });

    const ask = { organizationId: id, runId: after?.id ?? "", digest: digest("ab"), sizeBytes: 70_000n };
    const plan = await harness.ingest.runs.getStoragePlan(ask);
    const { principal } = await harness.keyrings["cas-gateway"].verify(plan.casToken);
    expect(principal).toMatchObject({ role: "uploader", space: "bundles", digest: digest("ab"), maxBytes: 70_000 });
  });

  test("of one organization are each at a place of their own", async () => {
    const { admin } = await harness.organization("places");
    const place = { provider: BackendProvider.S3, secretRef: "mine", prefix: "x" };
    await admin.backends.create({ name: "a", ...place });
    const again = admin.backends.create({ name: "b", ...place });
    await expectRefusal(again, "AlreadyExists", "BACKEND_EXISTS");
    await expect(again).rejects.toThrow("backend a of this organization has the same provider");
    const raced = await Promise.allSettled(
      ["c", "d", "e"].map((name) => admin.backends.create({ name, ...place, prefix: "raced" })),
    );
    expect(raced.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    await admin.backends.create({ name: "f", ...place, secretRef: "other" });
    await expectRefusal(admin.backends.update({ name: "f", secretRef: "mine" }), "AlreadyExists", "BACKEND_EXISTS");
    expect((await admin.backends.get({ name: "f" })).backend?.secretRef).toBe("other");
    await admin.backends.update({ name: "a", secretRef: "mine", maxBytes: 5n });
    await admin.backends.update({ name: "f", secretRef: "third" });
    const elsewhere = await harness.organization("places-elsewhere");
    await elsewhere.admin.backends.create({ name: "a", ...place });
    await admin.backends.create({ name: "inline-2", provider: BackendProvider.INLINE });
  });

  test("keep the error of a bad validation, and are validated anew before use", async () => {
    const { admin, ci } = await harness.organization("invalid");
    const ask = { name: "x", provider: BackendProvider.S3, secretRef: "mine", isDefault: true };
    harness.gateway.result = { valid: false, error: "write: no such bucket" };
    const made = await admin.backends.create(ask);
    expect(made.backend).toMatchObject({ status: BackendStatus.INVALID, validationError: "write: no such bucket" });
    const upload = () => ci.credentials.issueCasToken({ purpose: { case: "upload", value: {} } });
    const refused = await refusal(upload());
    expect(refused).toMatchObject({ code: "Unavailable", reason: "BACKEND_INVALID", retry: true });
    expect(refused.message).toContain("write: no such bucket");
    // A plan is given all the same: the database keeps the bundle while the CAS is down.
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    const organizationId = (await ci.organizations.get({})).organization?.id ?? "";
    const plan = { organizationId, runId: run?.id ?? "", digest: digest("ab"), sizeBytes: 1n };
    expect((await harness.ingest.runs.getStoragePlan(plan)).casToken).not.toBe("");

    harness.gateway.result = { valid: true, error: "" };
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await upload()).backendNames).toEqual(["x"]);
    expect((await admin.backends.get({ name: "x" })).backend?.status).toBe(BackendStatus.VALID);

    harness.gateway.result = undefined;
    const away = await admin.backends.validate({ name: "x" });
    expect(away.backend).toMatchObject({ status: BackendStatus.VALID });
    expect(away.backend?.validationError).toContain("could not be validated");
    harness.gateway.result = { valid: true, error: "" };
  });
});

describe("tokens", () => {
  test("carry their role, are listed without secrets, revoked by name or id, and told to the services", async () => {
    const { admin, reader } = await harness.organization("tokens");
    await expectRefusal(reader.runs.create({ project: "p", workflow: "w" }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(reader.tokens.list({}), "PermissionDenied", "ROLE_INSUFFICIENT");
    const made = await admin.tokens.create({ name: "t", role: Role.READER, lifetimeSeconds: 3_600n });
    await expectRefusal(admin.tokens.create({ name: "t", role: Role.CI }), "AlreadyExists", "TOKEN_EXISTS");
    expect(made.token?.expiresAt).toBeDefined();
    await harness.as(made.secret).runs.list({});
    const { nextCursor: start } = await harness.ingest.tokens.listRevoked({});
    const revoked = await admin.tokens.revoke({ token: "t" });
    expect((await admin.tokens.revoke({ token: made.token?.id ?? "" })).token).toEqual(revoked.token);
    expect((await admin.tokens.revoke({ token: "t" })).token).toEqual(revoked.token);
    const told = await harness.ingest.tokens.listRevoked({ cursor: start });
    expect(told).toMatchObject({ tokenIds: [made.token?.id], more: false });
    expect((await harness.ingest.tokens.listRevoked({ cursor: 1_000n })).tokenIds).toContain(made.token?.id);
    await admin.tokens.create({ name: "t", role: Role.CI });
    const names = (await admin.tokens.list({})).tokens.map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(["t", "t"]);
    // Made at the same time, so in any order.
    expect(names.slice(2).sort()).toEqual(["role-1", "role-2", "role-3"]);
    await expectRefusal(admin.tokens.revoke({ token: "none" }), "NotFound", "TOKEN_NOT_FOUND");
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await expectRefusal(harness.as(made.secret).runs.list({}), "Unauthenticated", "TOKEN_REVOKED");
  }, 15_000);

  test("that were revoked are told for a day after they ran out: a service's clock may be behind", async () => {
    const { admin } = await harness.organization("clocks");
    const { token } = await admin.tokens.create({ name: "old", role: Role.CI, lifetimeSeconds: 3_600n });
    await admin.tokens.revoke({ token: "old" });
    const isToldAfter = async (ago: string) => {
      await harness.pool.query("update token set expires_at = now() - $2::interval where id = $1", [token?.id, ago]);
      return (await harness.ingest.tokens.listRevoked({})).tokenIds.includes(token?.id ?? "");
    };
    expect(await isToldAfter("23 hours")).toBe(true);
    expect(await isToldAfter("25 hours")).toBe(false);
  });
});
