import { BackendProvider, CasRole, CasSpace } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

type Organization = Awaited<ReturnType<Harness["organization"]>>;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

async function organizationWith(name: string): Promise<Organization> {
  const organization = await harness.organization(name);
  await organization.admin.backends.create({ name: "b", provider: BackendProvider.S3, secretRef: "mine" });
  return organization;
}

describe("a backend's deletion", () => {
  test("is let while nobody can have put anything there", async () => {
    const { admin, reader, id } = await organizationWith("unused");
    await reader.credentials.issueCasToken({
      purpose: { case: "download", value: { digest: `sha256:${"ab".repeat(32)}` } },
    });
    const value = { organizationId: id, role: CasRole.MANAGER, space: CasSpace.BLOBS, backendName: "b" };
    await harness.gatewayService.credentials.issueCasToken({ purpose: { case: "service", value } });
    await admin.backends.delete({ name: "b" });
    expect((await admin.backends.list({})).backends.map(({ name }) => name)).toEqual(["inline"]);
  });

  test("is refused once a client was let upload there without a run", async () => {
    const { admin, ci } = await organizationWith("uploads");
    await ci.credentials.issueCasToken({ purpose: { case: "upload", value: { backend: "b" } } });
    await expectRefusal(admin.backends.delete({ name: "b" }), "FailedPrecondition", "BACKEND_IN_USE");
    expect((await admin.backends.get({ name: "b" })).backend?.name).toBe("b");
  });

  test.each([CasSpace.BLOBS, CasSpace.BUNDLES])(
    "is refused once a service was let upload there (space %d)",
    async (space) => {
      const { admin, id } = await organizationWith(`services-${space}`);
      const value = { organizationId: id, role: CasRole.UPLOADER, space, backendName: "b", maxBytes: 10n };
      await harness.gatewayService.credentials.issueCasToken({ purpose: { case: "service", value } });
      await expectRefusal(admin.backends.delete({ name: "b" }), "FailedPrecondition", "BACKEND_IN_USE");
    },
  );

  test("and the first upload exclude each other", async () => {
    for (let round = 0; round < 5; round++) {
      const { admin, ci } = await organizationWith(`race-${round}`);
      const [deleted, issued] = await Promise.allSettled([
        admin.backends.delete({ name: "b" }),
        ci.credentials.issueCasToken({ purpose: { case: "upload", value: { backend: "b" } } }),
      ]);
      expect([deleted.status, issued.status].sort()).toEqual(["fulfilled", "rejected"]);
    }
  });

  test("is refused for what was there before uploads were noted", async () => {
    const { admin, id } = await harness.organization("older");
    await harness.pool.query(
      `insert into backend (organization_id, id, name, provider, secret_ref, prefix, is_default, max_bytes, status, next_validation_at)
       values ($1, '01930000-0000-7000-8000-00000000000b', 'old', 's3', 'mine', '', false, 1, 'unknown', now())`,
      [id],
    );
    await expectRefusal(admin.backends.delete({ name: "old" }), "FailedPrecondition", "BACKEND_IN_USE");
  });
});

describe("the notes of a validation", () => {
  test("are kept with it and shown, until another says otherwise or the secret changes", async () => {
    const { admin, reader } = await harness.organization("notes");
    const notes = ["it refuses checksum headers", "it has no conditional PUT"];
    harness.gateway.result = { valid: true, error: "", notes };
    const made = await admin.backends.create({
      name: "b",
      provider: BackendProvider.S3,
      secretRef: "mine",
      isDefault: true,
    });
    expect(made.backend?.validationNotes).toEqual(notes);
    expect((await reader.backends.get({ name: "b" })).backend?.validationNotes).toEqual(notes);
    const { backends } = await reader.backends.list({});
    expect(backends.map(({ validationNotes }) => validationNotes)).toEqual([notes, []]);

    harness.gateway.result = undefined;
    expect((await admin.backends.validate({ name: "b" })).backend?.validationNotes).toEqual(notes);
    await admin.backends.update({ name: "b", secretRef: "other" });
    expect((await admin.backends.get({ name: "b" })).backend?.validationNotes).toEqual([]);
    harness.gateway.result = { valid: true, error: "", notes: [notes[0] ?? "", "a\0b"] };
    expect((await admin.backends.validate({ name: "b" })).backend?.validationNotes).toEqual([notes[0], "ab"]);
    harness.gateway.result = { valid: true, error: "" };
    expect((await admin.backends.validate({ name: "b" })).backend?.validationNotes).toEqual([]);
  });
});
