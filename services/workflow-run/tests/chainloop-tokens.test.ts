import { Role } from "@attestry/api/run";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

test("has what the chainloop command line reads, unverified, and is signed as any other", async () => {
  const { id: organizationId } = await harness.organization("parses");
  const asked = { role: Role.CI, organization: "parses", lifetimeSeconds: 60n };
  const made = await harness.admin.tokens.create({ ...asked, name: "theirs", forChainloop: true });
  const other = await harness.admin.tokens.create({ ...asked, name: "ours" });
  const claims = decodeJwt(made.secret);
  // The first audience says what kind of token it is; then id and organization are jti and org_id.
  expect([claims.aud].flat()[0]).toBe("api-token-auth.chainloop");
  expect(claims.jti).toBe(made.token?.id);
  expect(claims.org_id).toBe(organizationId);
  expect(claims.exp).toBeGreaterThan(Date.now() / 1000);
  expect(decodeProtectedHeader(made.secret)).toEqual(decodeProtectedHeader(other.secret));
  const { aud: _theirs, jti: _jti, iat: _iat, exp: _exp, ...rest } = claims;
  expect(decodeJwt(other.secret)).toMatchObject(rest);
  expect(decodeJwt(other.secret).aud).toBe("attestry/api");
});

test("may what its role may, and no more", async () => {
  const tokenOf = async (role: Role) =>
    (await harness.admin.tokens.create({ name: `role-${role}`, role, forChainloop: true })).secret;
  const [admin, ci, reader] = [await tokenOf(Role.ADMIN), await tokenOf(Role.CI), await tokenOf(Role.READER)];
  await expect(harness.as(reader).runs.list({})).resolves.toBeDefined();
  await expectRefusal(
    harness.as(reader).runs.create({ project: "p", workflow: "w" }),
    "PermissionDenied",
    "ROLE_INSUFFICIENT",
  );
  await expect(harness.as(ci).runs.create({ project: "p", workflow: "w" })).resolves.toBeDefined();
  await expectRefusal(harness.as(ci).tokens.list({}), "PermissionDenied", "ROLE_INSUFFICIENT");
  await expect(harness.as(admin).tokens.list({})).resolves.toBeDefined();
  await expectRefusal(harness.as(admin).organizations.create({ name: "new" }), "PermissionDenied", "ROLE_INSUFFICIENT");
  await expectRefusal(harness.as(ci).runs.getStoragePlan({}), "PermissionDenied", "ROLE_INSUFFICIENT");
});

test("is shown in the list and in the audit log, and one of an older workflow-run is not one", async () => {
  const { admin, id } = await harness.organization("listed");
  await admin.tokens.create({ name: "theirs", role: Role.CI, forChainloop: true });
  const { secret, token } = await admin.tokens.create({ name: "ours", role: Role.CI });
  expect(token?.forChainloop).toBe(false);
  await harness.pool.query(
    "insert into token (organization_id, id, name, role) values ($1, '0190a000-0000-7000-8000-000000000000', 'old', 'ci')",
    [id],
  );
  const { tokens } = await admin.tokens.list({});
  const shape = new Map(tokens.map(({ name, forChainloop }) => [name, forChainloop]));
  expect([shape.get("theirs"), shape.get("ours"), shape.get("old")]).toEqual([true, false, false]);
  const { events } = await admin.audit.list({});
  const made = events.filter(({ action, detail }) => action === "token.create" && detail.for_chainloop === "true");
  expect(made.map(({ detail }) => detail.name)).toEqual(["theirs"]);
  expect(JSON.stringify(events.map(({ detail }) => detail))).not.toContain(secret.slice(0, 10));
});
