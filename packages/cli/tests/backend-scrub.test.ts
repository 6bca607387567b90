import { ScrubFault, ScrubService, type ScrubServiceGetReportResponseSchema } from "@attestry/api/cas";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterEach, expect, test } from "@jest/globals";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

type Report = NonNullable<MessageInitShape<typeof ScrubServiceGetReportResponseSchema>["backends"]>[number];

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const asked: string[] = [];

async function scrub(backends: Report[], ...args: string[]) {
  server = await startFakeServer((router) =>
    router.service(ScrubService, {
      getReport: ({ backendName }) => {
        asked.push(backendName);
        if (backendName === "nowhere") throw refusal(Code.InvalidArgument, "RESOURCE_NAME_INVALID", "no such backend");
        return { backends };
      },
    }),
  );
  return attestry(["--addr", server.url, "--token", "t", "backend", "scrub", ...args]);
}

const startedAt = timestampFromDate(new Date("2026-11-20T10:00:00Z"));
const finishedAt = timestampFromDate(new Date("2026-11-20T12:00:00Z"));
const digest = `sha256:${"ab".repeat(32)}`;
const clean = { startedAt, finishedAt, blobsVerified: 1_234n, bytesVerified: 5_000_000n };
const repaired = { fault: ScrubFault.MISSING, digest, space: "bundles", repaired: true };
const damage = { ...repaired, fault: ScrubFault.CORRUPT, repaired: false };

test("shows each backend's passes; what was repaired is no fault", async () => {
  const mended = { ...clean, corrupt: 1n, missing: 1n, repaired: 2n, findings: [repaired] };
  const { code, stdout, stderr } = await scrub([
    { backendName: "archive", current: { startedAt, blobsVerified: 7n }, last: mended },
    { backendName: "fresh" },
  ]);
  expect(stdout).toMatch(/^BACKEND +PASS +STARTED +FINISHED +BLOBS +BYTES +CORRUPT +MISSING +REPAIRED\n/);
  expect(stdout).toMatch(/archive +under way +2026-11-20T10:00:00Z +- +7 /);
  expect(stdout).toMatch(/archive +finished +2026-11-20T10:00:00Z +2026-11-20T12:00:00Z +1,234 +5,000,000 +1 +1 +2\n/);
  expect(stdout).toMatch(/fresh +none yet +-/);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(asked.at(-1)).toBe("");
});

test.each(["current", "last"])("exits with 6 for what is damaged in the %s pass, and names it", async (which) => {
  const damaged = { ...clean, corrupt: 2n, repaired: 1n, findings: [repaired, damage] };
  const { code, stderr } = await scrub([{ backendName: "archive", last: clean, [which]: damaged }], "archive");
  expect(stderr).toContain(`corrupt in archive: ${digest} (bundles)\n`);
  expect(stderr).not.toContain("missing in archive");
  expect(stderr).toContain("1 in archive (BLOBS_DAMAGED)");
  expect(code).toBe(6);
  expect(asked.at(-1)).toBe("archive");
});

test("names no more than 20, and says how many there are", async () => {
  const findings = Array.from({ length: 25 }, (_, i) => ({
    ...damage,
    digest: `sha256:${String(i).padStart(64, "0")}`,
  }));
  const { stderr } = await scrub([{ backendName: "archive", last: { ...clean, corrupt: 25n, findings } }]);
  expect(stderr.match(/corrupt in archive/g)).toHaveLength(20);
  expect(stderr).toContain("and 5 more; -o json has them all\n");
});

test("as JSON, the exit code too", async () => {
  const last = { ...clean, corrupt: 1n, findings: [damage] };
  const { code, stdout } = await scrub([{ backendName: "archive", last }], "-o", "json");
  expect(JSON.parse(stdout)).toMatchObject({
    backends: [
      {
        ...{ backendName: "archive", current: null },
        last: { blobsVerified: 1_234, corrupt: 1, findings: [{ fault: "corrupt", digest, repaired: false }] },
      },
    ],
  });
  expect(code).toBe(6);
});

test("a backend that is not there is wrong usage or refused, and never fine", async () => {
  const { code, stderr } = await scrub([], "nowhere");
  expect(stderr).toContain("(RESOURCE_NAME_INVALID)");
  expect([1, 2]).toContain(code);
});
