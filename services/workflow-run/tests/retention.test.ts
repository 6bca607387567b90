import { BackendProvider, CasRole, CasSpace, type Retention, StorageMode } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const day = 86_400;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

function bounds(atLeast: number, atMost: number) {
  return { atLeast: { seconds: BigInt(atLeast) }, atMost: { seconds: BigInt(atMost) } };
}

/** In seconds; 0 for what is not set. */
function read(retention: Retention | undefined): number[] {
  return [retention?.atLeast, retention?.atMost].map((bound) => Number(bound?.seconds ?? 0n));
}

async function settingsOf(clients: Harness["admin"]) {
  const { organization } = await clients.organizations.get({});
  return [...read(organization?.attestationRetention), ...read(organization?.materialRetention)];
}

/** When the bounds of an organization's materials became what they are. */
async function changedAt(organizationId: string): Promise<Date | null | undefined> {
  const { rows } = await harness.pool.query<{ at: Date | null }>(
    "select material_keep_changed_at as at from organization where id = $1",
    [organizationId],
  );
  return rows[0]?.at;
}

describe("retention", () => {
  test("is none at first; each bound is set apart", async () => {
    const { admin, reader, name } = await harness.organization("sets");
    expect(await settingsOf(reader)).toEqual([0, 0, 0, 0]);
    const set = await admin.organizations.update({ attestationRetention: bounds(90 * day, 365 * day) });
    expect(read(set.organization?.attestationRetention)).toEqual([90 * day, 365 * day]);
    expect(await settingsOf(reader)).toEqual([90 * day, 365 * day, 0, 0]);
    await admin.organizations.update({ materialRetention: { atMost: { seconds: 30n } } });
    await admin.organizations.update({ storageMode: StorageMode.SPOOL });
    expect(await settingsOf(reader)).toEqual([90 * day, 365 * day, 0, 30]);
    const listed = (await harness.ingest.organizations.list({ pageSize: 200 })).organizations;
    const found = listed.find((organization) => organization.name === name);
    expect(read(found?.attestationRetention)).toEqual([90 * day, 365 * day]);
    await admin.organizations.update({ attestationRetention: { atLeast: { seconds: 7n } }, materialRetention: {} });
    expect(await settingsOf(reader)).toEqual([7, 365 * day, 0, 30]);
    await admin.organizations.update({ attestationRetention: { atMost: {} }, materialRetention: { atMost: {} } });
    expect(await settingsOf(reader)).toEqual([7, 0, 0, 0]);
    await Promise.all([
      admin.organizations.update({ attestationRetention: { atLeast: { seconds: 8n } } }),
      admin.organizations.update({ attestationRetention: { atMost: { seconds: 9n } } }),
    ]);
    expect(await settingsOf(reader)).toEqual([8, 9, 0, 0]);
    await expectRefusal(
      admin.organizations.update({ attestationRetention: { atLeast: { seconds: 10n } } }),
      "InvalidArgument",
      "RETENTION_INVALID",
    );
    // The longest, and no time between the two.
    await admin.organizations.update({ attestationRetention: bounds(3_155_760_000, 3_155_760_000) });
    expect(await settingsOf(reader)).toEqual([3_155_760_000, 3_155_760_000, 0, 0]);
    await expectRefusal(
      reader.organizations.update({ materialRetention: {} }),
      "PermissionDenied",
      "ROLE_INSUFFICIENT",
    );
  });

  type Bounds = MessageInitShape<typeof import("@attestry/api/run").RetentionSchema>;
  test.each<[string, Bounds, string, string]>([
    ["before 0", { atLeast: { seconds: -1n } }, "at_least", "-1 s"],
    ["a part of a second", { atMost: { seconds: 5n, nanos: 1 } }, "at_most", "5 s and 1 ns"],
    ["a negative part", { atLeast: { seconds: 0n, nanos: -1 } }, "at_least", "0 s and -1 ns"],
    ["over 100 years", { atMost: { seconds: 3_155_760_001n } }, "at_most", "3155760001 s"],
    ["an end before the promise ends", bounds(60, 59), "at_most", "59 s"],
  ])("refuses %s, and nothing changes", async (what, retention, field, came) => {
    const { admin } = await harness.organization(`bad-${what.replaceAll(/[^a-z0-9]+/g, "-")}`);
    await admin.organizations.update({ materialRetention: bounds(1, 2) });
    const update = { storageMode: StorageMode.CAS, attestationRetention: bounds(1, 2), materialRetention: retention };
    const refused = await refusal(admin.organizations.update(update));
    expect(refused).toMatchObject({ code: "InvalidArgument", reason: "RETENTION_INVALID", retry: false });
    expect(refused.message).toMatch(new RegExp(`^material_retention\\.${field} must be .*; came ${came}$`));
    expect(await settingsOf(admin)).toEqual([0, 0, 1, 2]);
    expect((await admin.organizations.get({})).organization?.storageMode).toBe(StorageMode.UNSPECIFIED);
    expect((await admin.audit.list({ action: "organization.update" })).events).toHaveLength(1);
  });

  test("the database itself keeps an end before the promise from being set", async () => {
    const { id } = await harness.organization("guarded");
    const set =
      "update organization set attestation_keep_min_seconds = 60, attestation_keep_max_seconds = 59 where id = $1";
    await expect(harness.pool.query(set, [id])).rejects.toThrow("organization_attestation_keep");
  });

  test("of materials says since when it is what it is, and nothing else moves that", async () => {
    const { admin, id } = await harness.organization("changing");
    expect(await changedAt(id)).toBeNull();
    await admin.organizations.update({ attestationRetention: bounds(60, 0) });
    expect(await changedAt(id)).toBeNull();
    const before = Date.now();
    await admin.organizations.update({ materialRetention: bounds(10, 70) });
    const set = (await changedAt(id)) as Date;
    expect(set.getTime()).toBeGreaterThanOrEqual(before);
    expect(set.getTime()).toBeLessThanOrEqual(Date.now());
    await admin.organizations.update({ attestationRetention: bounds(61, 0), materialRetention: bounds(10, 70) });
    expect(await changedAt(id)).toEqual(set);
    await admin.organizations.update({ materialRetention: bounds(10, 71) });
    expect((await changedAt(id))?.getTime()).toBeGreaterThan(set.getTime());
  });

  test("reaches attestation-ingest with the plan, and the gateway with each CAS token of its key space", async () => {
    const { admin, ci, reader, id } = await harness.organization("tokens-with");
    const secretRef = "_shared/local";
    await admin.backends.create({ name: "a", provider: BackendProvider.FILESYSTEM, secretRef, isDefault: true });
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    const claims = async (token: string) => {
      const { principal } = await harness.keyrings["cas-gateway"].verify(token);
      return principal.kind === "cas" ? [principal.space, principal.retention] : [];
    };
    const issued = async (clients: Harness["admin"], purpose: object) =>
      claims((await clients.credentials.issueCasToken({ purpose } as never)).token);
    const plan = () =>
      harness.ingest.runs.getStoragePlan({ organizationId: id, runId: run?.id ?? "", digest, sizeBytes: 9n });
    const service = (role: CasRole, space: CasSpace, backendName = "") =>
      issued(harness.gatewayService, { case: "service", value: { organizationId: id, role, space, backendName } });
    const all = async () => [
      await claims((await plan()).casToken),
      await service(CasRole.UPLOADER, CasSpace.BUNDLES),
      await service(CasRole.MANAGER, CasSpace.BUNDLES, "a"),
      await issued(ci, { case: "uploadForRun", value: { runId: run?.id } }),
      await issued(ci, { case: "upload", value: {} }),
      await issued(reader, { case: "download", value: { digest } }),
      await service(CasRole.UPLOADER, CasSpace.BLOBS),
      await service(CasRole.MANAGER, CasSpace.BLOBS),
    ];
    expect((await plan()).keepAtLeast).toBeUndefined();
    expect((await all()).map(([, retention]) => retention)).toEqual(Array(8).fill(undefined));

    await admin.organizations.update({ attestationRetention: bounds(60, 0), materialRetention: bounds(0, 70) });
    expect((await plan()).keepAtLeast?.seconds).toBe(60n);
    const ofBundles = ["bundles", { atLeastSeconds: 60, atMostSeconds: 0 }];
    const since = Math.ceil(((await changedAt(id))?.getTime() ?? 0) / 1_000);
    const ofBlobs = ["blobs", { atLeastSeconds: 0, atMostSeconds: 70, since }];
    expect(await all()).toEqual([...Array(3).fill(ofBundles), ...Array(5).fill(ofBlobs)]);
  });
});
