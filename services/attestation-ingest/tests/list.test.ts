import { type Attestation, type AttestationServiceListRequestSchema, UploadState } from "@attestry/api/ingest";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, refusal, type TestIngest } from "./harness.ts";

type Filter = MessageInitShape<typeof AttestationServiceListRequestSchema>;

let ingest: TestIngest;
const runs: string[] = [];
const commit = "c".repeat(40);
let middle = new Date();

beforeAll(async () => {
  ingest = await createTestIngest();
  for (let index = 0; index < 25; index++) {
    if (index === 10) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      middle = new Date();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const subjects =
      index % 5 === 0
        ? [{ digest: { gitCommit: commit } }, { digest: { gitCommit: commit } }]
        : [{ name: `app-${index}`, digest: { sha256: index.toString(16).padStart(64, "0") } }];
    const predicateType = index % 2 === 0 ? "https://spdx.dev/Document" : "https://slsa.dev/provenance/v1";
    const runId = ingest.run.begin(ingest.organizationId);
    await ingest.attestations.store({ runId, bundle: bundleOf({ subjects, predicateType }) });
    runs.unshift(runId);
  }
});
afterAll(() => ingest.destroy());

async function all(filter: Filter, pageSize: number): Promise<Attestation[]> {
  const found: Attestation[] = [];
  for (let pageToken = ""; ; ) {
    const page = await ingest.attestations.list({ ...filter, pageSize, pageToken });
    expect(page.attestations.length).toBeLessThanOrEqual(pageSize);
    found.push(...page.attestations);
    pageToken = page.nextPageToken;
    if (pageToken === "") return found;
  }
}

describe("List", () => {
  test.each([1, 7, 25, 100])("by pages of %d gives each once, newest first", async (pageSize) => {
    expect((await all({}, pageSize)).map((attestation) => attestation.runId)).toEqual(runs);
  });

  test("finds by a digest of a subject, each attestation once", async () => {
    const found = await all({ subjectDigest: `gitCommit:${commit}` }, 2);
    expect(found).toHaveLength(5);
    expect(new Set(found.map((attestation) => attestation.runId)).size).toBe(5);
    expect(found[0]?.subjects).toEqual([
      expect.objectContaining({ name: "", digests: { gitCommit: commit } }),
      expect.objectContaining({ name: "", digests: { gitCommit: commit } }),
    ]);
    expect(await all({ subjectDigest: `sha1:${commit}` }, 50)).toEqual([]);
  });

  test("filters by predicate type, project, workflow, and by several at once", async () => {
    expect(await all({ predicateType: "https://spdx.dev/Document" }, 50)).toHaveLength(13);
    expect(await all({ project: "shop" }, 50)).toHaveLength(25);
    expect(await all({ project: "shop", workflow: "release" }, 50)).toHaveLength(25);
    expect(await all({ project: "shop", workflow: "other" }, 50)).toEqual([]);
    const both = { subjectDigest: `gitCommit:${commit}`, predicateType: "https://spdx.dev/Document", project: "shop" };
    expect(await all(both, 1)).toHaveLength(3);
  });

  test("filters by time", async () => {
    const time = timestampFromDate(middle);
    const later = await all({ receivedAfter: time }, 4);
    const earlier = await all({ receivedBefore: time }, 4);
    expect(later).toHaveLength(15);
    expect(earlier).toHaveLength(10);
    expect([...later, ...earlier].map((attestation) => attestation.runId)).toEqual(runs);
  });

  test.each(["predicateType", "project"])("refuses a zero byte in the filter %s", async (filter) => {
    expect(await refusal(ingest.attestations.list({ [filter]: "a\0b" }))).toBe("REQUEST_INVALID");
  });

  test("refuses a cursor of other filters", async () => {
    const page = await ingest.attestations.list({ project: "shop", pageSize: 1 });
    const other = ingest.attestations.list({ pageSize: 1, pageToken: page.nextPageToken });
    expect(await refusal(other)).toBe("PAGE_TOKEN_INVALID");
  });

  test("of uploads has pages too", async () => {
    ingest.run.useExternal();
    for (let index = 0; index < 5; index++) {
      const runId = ingest.run.begin(ingest.organizationId);
      await ingest.attestations.store({ runId, bundle: bundleOf() });
    }
    const first = await ingest.uploads.list({ pageSize: 3 });
    const second = await ingest.uploads.list({ pageSize: 3, pageToken: first.nextPageToken });
    expect(first.uploads).toHaveLength(3);
    expect(second.uploads).toHaveLength(2);
    expect(second.nextPageToken).toBe("");
    expect(first.uploads[0]).toMatchObject({ state: UploadState.PENDING, attempts: 0, lastError: "" });
    expect(await ingest.uploads.retry({ which: { case: "all", value: true } })).toMatchObject({ retried: 0 });
  });
});
