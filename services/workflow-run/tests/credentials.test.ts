import { BackendProvider, CasRole, CasSpace } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const digest = `sha256:${"ab".repeat(32)}`;

let harness: Harness;
let organization: Awaited<ReturnType<Harness["organization"]>>;
beforeAll(async () => {
  harness = await startHarness();
  organization = await harness.organization("creds");
  const { backends } = organization.admin;
  await backends.create({ name: "a", provider: BackendProvider.FILESYSTEM, secretRef: "_shared/local", prefix: "x/y" });
  await backends.create({
    name: "z",
    provider: BackendProvider.S3,
    secretRef: "mine",
    maxBytes: 100n,
    isDefault: true,
  });
});
afterAll(() => harness.stop());

/** What the gateway reads in the token that is issued. */
async function issued(clients: Harness["admin"], purpose: object) {
  const answer = await clients.credentials.issueCasToken({ purpose } as never);
  const { principal } = await harness.keyrings["cas-gateway"].verify(answer.token);
  if (principal.kind !== "cas" || answer.expiresAt === undefined) throw new Error("expected a CAS token that runs out");
  const lifeSeconds = Math.round((timestampDate(answer.expiresAt).getTime() - Date.now()) / 1000);
  return { ...principal, names: answer.backendNames, lifeSeconds };
}

describe("CAS tokens", () => {
  test("for clients name the organization, the backends and one purpose, for 5 min", async () => {
    const { ci, reader, id } = organization;
    const upload = await issued(ci, { case: "upload", value: {} });
    expect(upload).toMatchObject({ organizationId: id, organization: "creds", role: "uploader", space: "blobs" });
    expect(upload).toMatchObject({ names: ["z"], maxBytes: 100, lifeSeconds: 300 });
    expect(upload.backends).toEqual([
      expect.objectContaining({ name: "z", provider: "s3", secretRef: "mine", prefix: "" }),
    ]);
    expect((await issued(ci, { case: "upload", value: { backend: "a" } })).names).toEqual(["a"]);
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    expect((await issued(ci, { case: "uploadForRun", value: { runId: run?.id } })).names).toEqual(["z"]);
    const download = await issued(reader, { case: "download", value: { digest } });
    expect(download).toMatchObject({ role: "downloader", space: "blobs", digest, names: ["z", "a"] });
  });

  test("of a run's plan is for the one bundle, its size and the run's backend", async () => {
    const { ci, id: organizationId } = organization;
    const { run } = await ci.runs.create({ project: "p", workflow: "plan" });
    const plan = await harness.ingest.runs.getStoragePlan({
      organizationId,
      runId: run?.id ?? "",
      digest,
      sizeBytes: 77n,
    });
    const { principal, expiresAt } = await harness.keyrings["cas-gateway"].verify(plan.casToken);
    expect(principal).toMatchObject({
      ...{ kind: "cas", organizationId, organization: "creds", role: "uploader", space: "bundles" },
      ...{ digest, maxBytes: 77, backends: [expect.objectContaining({ name: "z", secretRef: "mine" })] },
    });
    // 5 min, and the leeway of 30 s.
    expect(expiresAt - Date.now()).toBeLessThanOrEqual(330_000);
    const { id: other } = await harness.organization("creds-other");
    const asked = { organizationId: other, runId: run?.id ?? "", digest, sizeBytes: 77n };
    const foreign = harness.ingest.runs.getStoragePlan(asked);
    await expectRefusal(foreign, "NotFound", "RUN_NOT_FOUND");
  });

  test("for services name what they ask for; a material never gets more than its backend's bound", async () => {
    const organizationId = organization.id;
    const ask = (value: object) => issued(harness.ingest, { case: "service", value: { organizationId, ...value } });
    const bundle = { role: CasRole.UPLOADER, space: CasSpace.BUNDLES, backendName: "a", maxBytes: 20_000_000n };
    expect(await ask(bundle)).toMatchObject({ names: ["a"], space: "bundles", maxBytes: 20_000_000 });
    const material = { role: CasRole.UPLOADER, space: CasSpace.BLOBS, maxBytes: 5_000n };
    expect(await ask(material)).toMatchObject({ names: ["z"], space: "blobs", maxBytes: 100 });
    const manager = { role: CasRole.MANAGER, space: CasSpace.BUNDLES };
    expect(await ask(manager)).toMatchObject({ names: ["z", "a"], role: "manager" });
    const inline = { ...manager, backendName: "inline" };
    await expectRefusal(ask(inline), "FailedPrecondition", "BACKEND_INLINE");
    const nowhere = { ...manager, organizationId: "00000000-0000-7000-8000-000000000001" };
    await expectRefusal(ask(nowhere), "NotFound", "ORGANIZATION_NOT_FOUND");
    const { backends } = await harness.admin.backends.list({});
    const foreign = { ...manager, backendId: backends[0]?.id ?? "" };
    await expectRefusal(ask(foreign), "NotFound", "BACKEND_NOT_FOUND");
  });
});

test("a token is not handed out to a GET", async () => {
  const path = "/attestry.run.v1.CredentialService/IssueCasToken?connect=v1&encoding=json&message=%7B%7D";
  const response = await fetch(`${harness.url}${path}`, { headers: { authorization: `Bearer ${harness.adminToken}` } });
  expect(response.status).toBe(405);
  await response.body?.cancel();
});
