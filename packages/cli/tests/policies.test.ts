import { AttestationService } from "@attestry/api/ingest";
import { PolicyStatus, RunService } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type FakeServer, startFakeServer } from "./fake-server.ts";
import { runId } from "./fake-store.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

describe("policies and materials", () => {
  const policySummary = { status: PolicyStatus.BLOCKED, total: 3, passed: 2, violated: 4, hasGates: true };
  const asked: object[] = [];
  let server: FakeServer;
  let common: string[];
  beforeAll(async () => {
    server = await startFakeServer((router) => {
      router.service(RunService, {
        get: () => ({ run: { id: runId, policySummary } }),
        list({ policyStatus, project }) {
          asked.push({ policyStatus });
          return { runs: [{ id: runId, ...(project === "" && { policySummary }) }, { id: "other" }] };
        },
      });
      router.service(AttestationService, {
        list({ materialDigest }) {
          asked.push({ materialDigest });
          return {};
        },
      });
    });
    common = ["--addr", server.url, "--token", "t"];
  });
  afterAll(() => server.stop());

  test("run list and run get show what an attestation says of policies, where it says something", async () => {
    const list = await attestry([...common, "run", "list", "--policies", "blocked"]);
    expect(asked.pop()).toEqual({ policyStatus: PolicyStatus.BLOCKED });
    expect(list.stdout).toMatch(/^ID .* POLICIES\n.* blocked\nother .* -\n$/);
    expect((await attestry([...common, "run", "list", "--workflow", "p"])).stdout).not.toMatch(/POLICIES|blocked/);
    const get = await attestry([...common, "run", "get", runId]);
    expect(get.stdout).toMatch(/^policies +blocked: total 3, passed 2, violated 4$/m);
    const json = JSON.parse((await attestry([...common, "run", "get", runId, "-o", "json"])).stdout);
    expect(json.policySummary).toMatchObject({ status: "blocked", skipped: 0, hasGates: true });
  });

  test("list asks for a material", async () => {
    const materialDigest = `sha256:${"ab".repeat(32)}`;
    await attestry([...common, "list", "--material", materialDigest]);
    expect(asked.pop()).toEqual({ materialDigest });
    expect((await attestry([...common, "list", "--material", "ab"])).code).toBe(2);
  });
});
