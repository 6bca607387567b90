import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { AttestationService } from "@attestry/api/ingest";
import { PolicyStatus, StorageMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, eventually, refusal, storeOne, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.run.beforeComplete = () => undefined;
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
  await ingest.database.query("delete from attestation");
});

function chainloop(predicate: object | string): Buffer {
  const body = typeof predicate === "string" ? predicate : { ...predicate, note: randomUUID() };
  return bundleOf({ predicateType: "chainloop.dev/attestation/v0.2", predicate: body });
}

const hex = (n: number) => n.toString(16).padStart(64, "0");
const material = (sha256: string, type = "ARTIFACT") => ({
  name: "file",
  digest: { sha256 },
  annotations: { "chainloop.material.type": type },
});
const naming = (...digests: string[]) =>
  chainloop({ materials: digests.map((digest) => material(digest.slice("sha256:".length), "ATTESTATION")) });

const blocked = {
  policyEvaluationsCount: 3,
  policyPassedCount: 1,
  policySkippedCount: 1,
  policyViolationsCount: 2,
  policyHasViolations: true,
  policyCheckBlockingStrategy: "ENFORCED",
};
const blockedSummary = {
  status: PolicyStatus.BLOCKED,
  ...{ total: 3, passed: 1, skipped: 1, violated: 2, hasGates: true, suppressed: 0 },
};

const summaryOf = (runId: string) => ingest.run.runs.get(runId)?.policySummary;
const materialRows = async () => (await ingest.database.query("select digest_key from attestation_material")).rows;

/** A run whose Store died before Complete. */
async function unfinished(bundle: Buffer): Promise<string> {
  const runId = ingest.run.begin(ingest.organizationId);
  ingest.run.beforeComplete = () => {
    throw new DomainError("PEER_UNAVAILABLE", "away");
  };
  expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("PEER_UNAVAILABLE");
  ingest.run.beforeComplete = () => undefined;
  return runId;
}

async function reconciled(runId: string): Promise<void> {
  const replica = await ingest.replica({ role: "api" });
  await replica.start();
  await eventually(() => ingest.run.runs.get(runId)?.state === "success", "the run is completed");
  await replica.stop();
}

describe("what a predicate says of policies", () => {
  test.each<[string, object | string, object | undefined]>([
    ["none", {}, { status: PolicyStatus.NOT_APPLICABLE, total: 0 }],
    ["passed", { policyEvaluationsCount: 1, policyPassedCount: 1 }, { status: PolicyStatus.PASSED, passed: 1 }],
    ["skipped", { policyEvaluationsCount: 1, policySkippedCount: 1 }, { status: PolicyStatus.SKIPPED, skipped: 1 }],
    ["a warning", { ...blocked, policyCheckBlockingStrategy: "ADVISORY" }, { status: PolicyStatus.WARNING }],
    ["blocked", blocked, blockedSummary],
    ["bypassed", { ...blocked, policyBlockBypassEnabled: true }, { status: PolicyStatus.BYPASSED, violated: 2 }],
    ["nothing: it is odd", { policyEvaluationsCount: "3" }, undefined],
    ["nothing: it is text", "not an object", undefined],
  ])("is told with the completion: %s", async (_, predicate, summary) => {
    const runId = await storeOne(ingest, chainloop(predicate));
    expect(ingest.run.runs.get(runId)?.state).toBe("success");
    const told = expect(summaryOf(runId));
    if (summary === undefined) told.toBeUndefined();
    else told.toMatchObject(summary);
  });

  test("is nothing for other predicates, text included", async () => {
    const fixture = new URL("../../../packages/bundle/tests/fixtures/C02-string-predicate.json", import.meta.url);
    expect(summaryOf(await storeOne(ingest))).toBeUndefined();
    expect(summaryOf(await storeOne(ingest, readFileSync(fixture)))).toBeUndefined();
  });

  test("comes from a thread as well", async () => {
    const sha256 = hex(9);
    const large = chainloop({ ...blocked, materials: [material(sha256)], pad: "x".repeat(100_000) });
    const runId = await storeOne(ingest, large);
    expect(summaryOf(runId)).toMatchObject(blockedSummary);
    expect(await materialRows()).toEqual([{ digest_key: `sha256:${sha256}` }]);
  });

  test.each([
    ["database", StorageMode.DATABASE],
    ["cas", StorageMode.CAS],
  ])("survives a crash before Complete in mode %s", async (_, mode) => {
    ingest.run.useExternal();
    ingest.run.storageMode = mode;
    const runId = await unfinished(chainloop(blocked));
    expect(summaryOf(runId)).toBeUndefined();
    await reconciled(runId);
    expect(summaryOf(runId)).toMatchObject(blockedSummary);
  });

  test("is told by a retry and by Get of an unfinished Store", async () => {
    const bundle = chainloop(blocked);
    const retried = await unfinished(bundle);
    await ingest.attestations.store({ runId: retried, bundle });
    expect(summaryOf(retried)).toMatchObject(blockedSummary);
    const got = await unfinished(chainloop(blocked));
    await ingest.attestations.get({ by: { case: "runId", value: got } });
    expect(summaryOf(got)).toMatchObject(blockedSummary);
  });

  test("is not known of the row of an older build, whose run completes all the same", async () => {
    const runId = await unfinished(chainloop(blocked));
    await ingest.database.query("update attestation set policy_summary = null");
    await reconciled(runId);
    expect(summaryOf(runId)).toBeUndefined();
  });
});

describe("materials", () => {
  test("find their attestations by pages, with the other filters", async () => {
    const [common, own] = [hex(1), hex(2)];
    const runs: string[] = [];
    for (let index = 0; index < 7; index++) {
      const materials = index === 3 ? [material(own)] : [material(common), material(common), material(own)];
      runs.unshift(await storeOne(ingest, chainloop({ materials })));
    }
    await storeOne(ingest);
    const found: string[] = [];
    let pageToken = "";
    const filter = { materialDigest: `sha256:${common.toUpperCase()}`, pageSize: 2 };
    do {
      const page = await ingest.attestations.list({ ...filter, pageToken });
      found.push(...page.attestations.map(({ runId }) => runId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found).toEqual(runs.filter((_, index) => index !== 3));
    const both = { materialDigest: `sha256:${common}`, subjectDigest: `sha256:${"a".repeat(64)}`, project: "shop" };
    expect((await ingest.attestations.list(both)).attestations).toHaveLength(6);
    expect((await ingest.attestations.list({ ...both, subjectDigest: "sha256:b" })).attestations).toEqual([]);
    expect((await ingest.attestations.list({ ...both, project: "other" })).attestations).toEqual([]);
  });

  test("bind a cursor, and are of the organization alone", async () => {
    const materialDigest = `sha256:${hex(1)}`;
    for (let index = 0; index < 2; index++) await storeOne(ingest, chainloop({ materials: [material(hex(1))] }));
    const { nextPageToken } = await ingest.attestations.list({ materialDigest, pageSize: 1 });
    for (const other of [{}, { materialDigest: `sha256:${hex(2)}` }, { subjectDigest: materialDigest }]) {
      const page = ingest.attestations.list({ ...other, pageSize: 1, pageToken: nextPageToken });
      expect(await refusal(page)).toBe("PAGE_TOKEN_INVALID");
    }
    const stranger = createClient(AttestationService, await ingest.as("ci", randomUUID()));
    expect((await stranger.list({ materialDigest })).attestations).toEqual([]);
    expect(await refusal(ingest.attestations.list({ materialDigest: "sha256" }))).toBe("DIGEST_INVALID");
  });
});

describe("attestations that are named as materials", () => {
  test("must be there, each of them", async () => {
    const dependency = chainloop({});
    await storeOne(ingest, dependency);
    const there = digestOf(dependency);
    const missing = `sha256:${hex(7)}`;
    const runId = ingest.run.begin(ingest.organizationId);
    const before = await ingest.snapshot();
    const refused = ingest.attestations.store({ runId, bundle: naming(there, missing) });
    await expect(refused).rejects.toThrow(`dependent attestation not found: ${missing}`);
    expect(await refusal(refused)).toBe("DEPENDENCY_NOT_FOUND");
    expect(await ingest.snapshot()).toEqual(before);
    await ingest.attestations.store({ runId, bundle: naming(there, there) });
    expect(ingest.run.runs.get(runId)?.state).toBe("success");
  });

  test("do not count in another organization, nor when retention hides them", async () => {
    const dependency = chainloop({});
    const dependencyRun = await storeOne(ingest, dependency);
    const elsewhere = randomUUID();
    const stranger = createClient(AttestationService, await ingest.as("ci", elsewhere));
    const bundle = naming(digestOf(dependency));
    const strange = stranger.store({ runId: ingest.run.begin(elsewhere), bundle });
    expect(await refusal(strange)).toBe("DEPENDENCY_NOT_FOUND");
    await ingest.database.query("update attestation set expired_at = now() where run_id = $1", [dependencyRun]);
    const hidden = ingest.attestations.store({ runId: ingest.run.begin(ingest.organizationId), bundle });
    expect(await refusal(hidden)).toBe("DEPENDENCY_NOT_FOUND");
  });

  test("count once their run is a success, with the visible mark or without", async () => {
    const dependency = chainloop({});
    const dependencyRun = await unfinished(dependency);
    await storeOne(ingest, naming(digestOf(dependency)));
    expect(ingest.run.runs.get(dependencyRun)?.state).toBe("success");
    const cancelled = chainloop({});
    ingest.run.set(await unfinished(cancelled), "cancelled");
    expect(await refusal(storeOne(ingest, naming(digestOf(cancelled))))).toBe("DEPENDENCY_NOT_FOUND");
  });

  test("may be gone when the same is stored again", async () => {
    const dependency = chainloop({});
    const dependencyRun = await storeOne(ingest, dependency);
    const bundle = naming(digestOf(dependency));
    const runId = await storeOne(ingest, bundle);
    const unsettled = await unfinished(naming(digestOf(dependency)));
    await ingest.database.query("delete from attestation where run_id = $1", [dependencyRun]);
    await expect(ingest.attestations.store({ runId, bundle })).resolves.toMatchObject({ digest: digestOf(bundle) });
    await reconciled(unsettled);
    expect(await refusal(storeOne(ingest, bundle))).toBe("DEPENDENCY_NOT_FOUND");
  });
});
