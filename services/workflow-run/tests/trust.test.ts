import { readFileSync } from "node:fs";
import { type TrustPolicySchema, VerificationMode } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

type Policy = MessageInitShape<typeof TrustPolicySchema>;

const fixtures = new URL("../../../packages/bundle/tests/fixtures/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, fixtures), "utf8");
const ca = read("chainloop-cli-63k.ca.pem");
const trustedRoot = read("intoto-with-custom-trust-root.trusted_root.json");
const { TRUSTED, SIGNATURE, OFF, UNSPECIFIED } = VerificationMode;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

async function settingsOf(clients: Harness["admin"]) {
  const { organization } = await clients.organizations.get({});
  return [organization?.verificationMode, organization?.trustRevision];
}

describe("the trust policy", () => {
  const policy: Policy = {
    trustedRoots: [trustedRoot],
    certificateAuthorities: [ca],
    transparencyLogThreshold: 1,
    timestampThreshold: 2,
    signers: [{ subject: "https://github.com/acme/*", issuer: "https://token.actions.githubusercontent.com" }],
  };

  test("is none at first; each change is the next revision, and all of them stay", async () => {
    const { admin, reader, id } = await harness.organization("revisions");
    await expectRefusal(reader.trust.get({}), "NotFound", "TRUST_NOT_FOUND");
    const began = Date.now() - 5_000;
    expect(await admin.trust.set({ policy })).toMatchObject({ revision: 1 });
    expect(await admin.trust.set({ policy })).toMatchObject({ revision: 1 });
    expect(await admin.trust.set({ policy: { certificateAuthorities: [ca] } })).toMatchObject({ revision: 2 });
    expect(await admin.trust.set({ policy })).toMatchObject({ revision: 3 });

    const present = await reader.trust.get({});
    expect(present).toMatchObject({ revision: 3, policy: { ...policy, publicKeys: [] } });
    expect(present.setAt && timestampDate(present.setAt).getTime()).toBeGreaterThan(began);
    const second = await harness.ingest.trust.get({ organizationId: id, revision: 2 });
    expect(second).toMatchObject({
      revision: 2,
      policy: { trustedRoots: [], certificateAuthorities: [ca], signers: [] },
    });
    expect(await reader.trust.get({ revision: 1 })).toMatchObject({ policy });
    await expectRefusal(reader.trust.get({ revision: 4 }), "NotFound", "TRUST_NOT_FOUND");
    await expectRefusal(reader.trust.get({ revision: -1 }), "InvalidArgument", "REQUEST_INVALID");
  });

  test("set by many at once has a revision for each", async () => {
    const { admin } = await harness.organization("trust-at-once");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, timestampThreshold) =>
        admin.trust.set({ policy: { certificateAuthorities: [ca], timestampThreshold } }),
      ),
    );
    expect(new Set(answers.map(({ revision }) => revision)).size).toBe(10);
    expect(await settingsOf(admin)).toEqual([SIGNATURE, 10]);
    const { events } = await admin.audit.list({ action: "trust.set" });
    expect(events.map(({ detail }) => detail["revision.new"])).toEqual(
      Array.from({ length: 10 }, (_, index) => String(10 - index)),
    );
  });

  test("is audited with who set it", async () => {
    const { admin, id, name } = await harness.organization("trust-told");
    await admin.trust.set({ policy });
    await admin.trust.set({ policy });
    expect((await admin.audit.list({ action: "trust.set" })).events).toMatchObject([
      {
        actor: expect.stringMatching(/^token role-1 \([0-9a-f-]{36}\)$/),
        action: "trust.set",
        resource: `organization ${id}`,
        detail: {
          ...{ name, "revision.old": "none", "revision.new": "1" },
          ...{ trusted_roots: "1", certificate_authorities: "1", public_keys: "0", signers: "1" },
          ...{ transparency_log_threshold: "1", timestamp_threshold: "2" },
        },
      },
    ]);
  });

  const certificates: [what: string, bad: Policy | undefined, reason: string, says: RegExp][] = [
    ["nothing", undefined, "REQUEST_INVALID", /a trust policy/],
    ["no material", { signers: [{ subject: "*", issuer: "*" }] }, "REQUEST_INVALID", /at least one/],
    ["a root that is no JSON", { trustedRoots: ["{"] }, "TRUST_MATERIAL_INVALID", /./],
    ["a CA that is no PEM", { certificateAuthorities: [ca, "hello"] }, "TRUST_MATERIAL_INVALID", /./],
    ["a key that is none", { publicKeys: [ca] }, "TRUST_MATERIAL_INVALID", /./],
    [
      "a signer who is anybody",
      { publicKeys: ["x"], signers: [{ subject: "", issuer: "**" }] },
      "REQUEST_INVALID",
      /a subject or an issuer/,
    ],
    ["too many keys", { publicKeys: Array(33).fill("x") }, "REQUEST_INVALID", /public_keys must be at most 32/],
    ["too many bytes", { trustedRoots: ["x".repeat(256 * 1024 + 1)] }, "REQUEST_INVALID", /at most 262144 bytes/],
    ["a zero byte", { certificateAuthorities: [`${ca}\0`] }, "REQUEST_INVALID", /zero bytes/],
    [
      "a long pattern",
      { certificateAuthorities: [ca], signers: [{ subject: "x".repeat(1_025) }] },
      "REQUEST_INVALID",
      /signers\[0\]\.subject/,
    ],
    ["a negative threshold", { certificateAuthorities: [ca], timestampThreshold: -1 }, "REQUEST_INVALID", /0 to 10/],
    [
      "a high threshold",
      { certificateAuthorities: [ca], transparencyLogThreshold: 11 },
      "REQUEST_INVALID",
      /transparency_log_threshold/,
    ],
  ];
  test.each(certificates)("of %s is refused, and nothing changes", async (what, bad, reason, says) => {
    const { admin } = await harness.organization(`trust-${what.replaceAll(" ", "-").toLowerCase()}`);
    const refused = await refusal(admin.trust.set(bad === undefined ? {} : { policy: bad }));
    expect(refused).toMatchObject({ code: "InvalidArgument", reason, retry: false });
    expect(refused.message).toMatch(says);
    expect(await settingsOf(admin)).toEqual([SIGNATURE, 0]);
    expect((await admin.audit.list({ action: "trust.set" })).events).toEqual([]);
  });

  test("is set by admins of the organization alone, and seen by nobody outside it", async () => {
    const { admin, ci, reader, id, name } = await harness.organization("trust-mine");
    const other = await harness.organization("trust-other");
    await expectRefusal(ci.trust.set({ policy }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(reader.trust.set({ policy }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(harness.ingest.trust.set({ policy }), "PermissionDenied", "ROLE_INSUFFICIENT");
    await admin.trust.set({ policy });
    await expectRefusal(other.admin.trust.get({ organization: name }), "NotFound", "ORGANIZATION_NOT_FOUND");
    await expectRefusal(other.admin.trust.set({ organization: name, policy }), "NotFound", "ORGANIZATION_NOT_FOUND");
    await expectRefusal(other.admin.trust.get({ organizationId: id }), "InvalidArgument", "REQUEST_INVALID");
    await expectRefusal(
      harness.gatewayService.trust.get({ organizationId: id }),
      "PermissionDenied",
      "ROLE_INSUFFICIENT",
    );
    await expectRefusal(other.admin.trust.get({}), "NotFound", "TRUST_NOT_FOUND");
    expect(await harness.admin.trust.get({ organization: name })).toMatchObject({ revision: 1 });
  });
});

describe("the verification mode", () => {
  test("is signature at first, and trusted only once there is a trust policy", async () => {
    const { admin, name } = await harness.organization("modes");
    expect(await settingsOf(admin)).toEqual([SIGNATURE, 0]);
    await expectRefusal(
      admin.organizations.update({ verificationMode: TRUSTED }),
      "FailedPrecondition",
      "TRUST_NOT_SET",
    );
    await expectRefusal(
      admin.organizations.update({ verificationMode: UNSPECIFIED }),
      "InvalidArgument",
      "REQUEST_INVALID",
    );
    expect(await settingsOf(admin)).toEqual([SIGNATURE, 0]);
    await admin.trust.set({ policy: { certificateAuthorities: [ca] } });
    await admin.organizations.update({ verificationMode: TRUSTED });
    expect(await settingsOf(admin)).toEqual([TRUSTED, 1]);
    await admin.organizations.update({ attestationRetention: {} });
    expect(await settingsOf(admin)).toEqual([TRUSTED, 1]);
    expect((await admin.audit.list({ action: "organization.update" })).events).toMatchObject([
      { detail: { name, "verification_mode.old": "signature", "verification_mode.new": "trusted" } },
    ]);
  });

  test("of a new organization is as asked, and never trusted", async () => {
    const { organization } = await harness.admin.organizations.create({ name: "new-off", verificationMode: OFF });
    expect(organization).toMatchObject({ verificationMode: OFF, trustRevision: 0 });
    await expectRefusal(
      harness.admin.organizations.create({ name: "new-trusted", verificationMode: TRUSTED }),
      "FailedPrecondition",
      "TRUST_NOT_SET",
    );
    await expectRefusal(harness.admin.organizations.get({ name: "new-trusted" }), "NotFound", "ORGANIZATION_NOT_FOUND");
  });

  test("reaches attestation-ingest with the plan, beside the revision", async () => {
    const { admin, ci, id } = await harness.organization("planned");
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    const digest = `sha256:${"ab".repeat(32)}`;
    const plan = () =>
      harness.ingest.runs.getStoragePlan({ organizationId: id, runId: run?.id ?? "", digest, sizeBytes: 9n });
    expect(await plan()).toMatchObject({ verificationMode: SIGNATURE, trustRevision: 0 });
    await admin.trust.set({ policy: { certificateAuthorities: [ca] } });
    await admin.organizations.update({ verificationMode: TRUSTED });
    expect(await plan()).toMatchObject({ verificationMode: TRUSTED, trustRevision: 1 });
    await admin.organizations.update({ verificationMode: OFF });
    expect(await plan()).toMatchObject({ verificationMode: OFF, trustRevision: 1 });
  });
});

describe("the database itself", () => {
  test("gives signature to organizations of a build that knows of no modes", async () => {
    const { rows } = await harness.pool.query(
      "insert into organization (id, name) values (gen_random_uuid(), 'of-before') returning verification_mode, trust_revision",
    );
    expect(rows).toEqual([{ verification_mode: "signature", trust_revision: null }]);
  });

  const insert = `insert into trust_policy (organization_id, revision, trusted_roots, certificate_authorities, public_keys,
    transparency_log_threshold, timestamp_threshold, signers) values ($1, $2, $3, '{}', '{}', 0, 0, '[]')`;

  test("raises the revision by one with each policy, keeps every policy, and no trusted organization without one", async () => {
    const { id } = await harness.organization("guarded-trust");
    const { pool } = harness;
    await expect(
      pool.query("update organization set verification_mode = 'trusted' where id = $1", [id]),
    ).rejects.toThrow("organization_trusted_has_policy");
    await expect(pool.query(insert, [id, 2, ["x"]])).rejects.toThrow("not the next revision");
    await expect(pool.query(insert, [id, 1, []])).rejects.toThrow("trust_policy_has_material");
    await pool.query(insert, [id, 1, ["x"]]);
    const { rows } = await pool.query("select trust_revision from organization where id = $1", [id]);
    expect(rows).toEqual([{ trust_revision: 1 }]);
    for (const change of ["update trust_policy set signers = '[]'", "delete from trust_policy"])
      await expect(pool.query(change)).rejects.toThrow("append-only");
    await expect(pool.query("update organization set trust_revision = 7 where id = $1", [id])).rejects.toThrow(
      "organization_trust_policy",
    );
  });
});
