import { StorageMode } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

describe("changes of settings", () => {
  test("are told with who made them and each old and new value, where something changed", async () => {
    const { admin, id, name } = await harness.organization("told");
    const began = Date.now() - 5_000;
    await admin.organizations.update({});
    await admin.organizations.update({ storageMode: StorageMode.UNSPECIFIED, materialRetention: {} });
    expect((await admin.audit.list({ action: "organization.update" })).events).toEqual([]);
    const materialRetention = { atLeast: { seconds: 60n }, atMost: { seconds: 90n } };
    await admin.organizations.update({ storageMode: StorageMode.CAS, materialRetention });
    await admin.organizations.update({ storageMode: StorageMode.CAS, materialRetention });
    await harness.admin.organizations.update({ name, storageMode: StorageMode.SPOOL });
    const { events } = await admin.audit.list({ action: "organization.update" });
    expect(events).toMatchObject([
      {
        actor: expect.stringMatching(/^token \S+ \([0-9a-f-]{36}\)$/),
        action: "organization.update",
        resource: `organization ${id}`,
        detail: { name, "storage_mode.old": "cas", "storage_mode.new": "spool" },
      },
      {
        actor: expect.stringMatching(/^token role-1 \([0-9a-f-]{36}\)$/),
        detail: {
          name,
          "storage_mode.old": "default",
          "storage_mode.new": "cas",
          "material_retention.at_least.old": "none",
          "material_retention.at_least.new": "60s",
          "material_retention.at_most.old": "none",
          "material_retention.at_most.new": "90s",
        },
      },
    ]);
    expect(Object.keys(events[0]?.detail ?? {})).toHaveLength(3);
    const at = events.map((event) => (event.at === undefined ? 0 : timestampDate(event.at).getTime()));
    expect(at.every((time) => time > began && time < Date.now() + 5_000)).toBe(true);
  });

  test("made at once each replace what the one before left", async () => {
    const { admin } = await harness.organization("at-once");
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        admin.organizations.update({ attestationRetention: { atLeast: { seconds: BigInt(index + 1) } } }),
      ),
    );
    const { events } = await admin.audit.list({ action: "organization.update" });
    const steps = events.map(({ detail }) => [
      detail["attestation_retention.at_least.old"],
      detail["attestation_retention.at_least.new"],
    ]);
    expect(steps).toHaveLength(20);
    for (const [index, [old]] of steps.entries()) expect(old).toBe(steps[index + 1]?.[1] ?? "none");
    const { organization } = await admin.organizations.get({});
    expect(`${organization?.attestationRetention?.atLeast?.seconds}s`).toBe(steps[0]?.[1]);
  });
});

describe("the audit log", () => {
  const event = { actor: "service cas-gateway", action: "material.delete", resource: "blob sha256:ab", detail: {} };

  test("takes what cas-gateway did, in its order, and shows it to admins of that organization alone", async () => {
    const { admin, ci, id } = await harness.organization("gateway");
    const events = Array.from({ length: 200 }, (_, index) => ({ ...event, detail: { index: String(index) } }));
    await harness.gatewayService.audit.record({ organizationId: id, events });
    await admin.organizations.update({ storageMode: StorageMode.CAS });
    const first = await admin.audit.list({ pageSize: 3 });
    expect(first.events.map(({ action, detail }) => [action, detail.index])).toEqual([
      ["organization.update", undefined],
      ["material.delete", "199"],
      ["material.delete", "198"],
    ]);
    const second = await admin.audit.list({ pageSize: 1, pageToken: first.nextPageToken });
    expect(second.events).toMatchObject([{ ...event, detail: { index: "197" } }]);
    expect((await admin.audit.list({ action: "organization.update" })).events).toHaveLength(1);
    expect((await admin.audit.list({ action: "organization" })).events).toEqual([]);
    const foreign = { action: "material.delete", pageToken: first.nextPageToken };
    await expectRefusal(admin.audit.list(foreign), "InvalidArgument", "PAGE_TOKEN_INVALID");
    await expectRefusal(ci.audit.list({}), "PermissionDenied", "ROLE_INSUFFICIENT");
    const other = await harness.organization("gateway-other");
    expect((await other.admin.audit.list({ action: "material.delete" })).events).toEqual([]);
  });

  test("takes nothing from others, and nothing without bounds", async () => {
    const { admin, id } = await harness.organization("strangers");
    for (const clients of [admin, harness.admin, harness.ingest]) {
      const record = clients.audit.record({ organizationId: id, events: [event] });
      await expectRefusal(record, "PermissionDenied", "ROLE_INSUFFICIENT");
    }
    const { record } = harness.gatewayService.audit;
    for (const asked of [
      { organizationId: "o", events: [event] },
      { organizationId: id, events: [] },
      { organizationId: id, events: Array(201).fill(event) },
      { organizationId: id, events: [event, { ...event, actor: "" }] },
      { organizationId: id, events: [event, { ...event, resource: "x".repeat(1_025) }] },
      { organizationId: id, events: [event, { ...event, detail: { a: "\0" } }] },
    ]) {
      await expectRefusal(record(asked), "InvalidArgument", "REQUEST_INVALID");
    }
    expect((await admin.audit.list({ action: "material.delete" })).events).toEqual([]);
  });

  test("is append-only to the service's own user of the database", async () => {
    const { admin, id } = await harness.organization("fixed");
    await harness.gatewayService.audit.record({ organizationId: id, events: [event] });
    for (const statement of [
      "update audit_event set actor = 'nobody'",
      "delete from audit_event",
      "delete from audit_event where false",
      "truncate audit_event",
      "insert into audit_event (number, organization_id, actor, action, resource) overriding system value select number, organization_id, 'x', 'x', 'x' from audit_event on conflict (number) do update set actor = 'x'",
    ]) {
      await expect(harness.pool.query(statement)).rejects.toThrow("audit_event is append-only");
    }
    expect((await admin.audit.list({ action: "material.delete" })).events).toMatchObject([event]);
  });
});
