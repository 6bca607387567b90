import {
  type OrganizationSchema,
  OrganizationService,
  OrganizationServiceUpdateRequestSchema,
  StorageMode,
  VerificationMode,
} from "@attestry/api/run";
import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { afterEach, expect, jest, test } from "@jest/globals";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

/** A server whose organization has these settings; what it was asked is in `updates` and `reads`. */
async function serveOrganization(organization: MessageInitShape<typeof OrganizationSchema>) {
  const seen = { updates: [] as unknown[], reads: [] as string[] };
  server = await startFakeServer((router) => {
    router.service(OrganizationService, {
      get({ name }) {
        seen.reads.push(name);
        return { organization };
      },
      update(request) {
        seen.updates.push(toJson(OrganizationServiceUpdateRequestSchema, request));
        return { organization };
      },
    });
  });
  const { url } = server;
  const org = (...args: string[]) => attestry(["--addr", url, "--token", "t", "org", ...args]);
  return { ...seen, org };
}

const kept = {
  name: "acme",
  attestationRetention: { atLeast: { seconds: 7_776_000n }, atMost: { seconds: 220_903_200n } },
};

test("only what is given is sent, so that two who change different bounds do not undo each other", async () => {
  const { org, updates, reads } = await serveOrganization(kept);
  expect((await org("update", "acme", "--keep-attestations-at-least", "30d")).code).toBe(0);
  await org("update", "--keep-attestations-at-most", "forever", "--keep-materials-at-least", "1w");
  await org("update", "--keep-materials-at-least", "none", "--keep-materials-at-most", "1y").then(({ stderr }) =>
    expect(stderr).toMatch(/^materials older than 1y are hidden at the next look .*, and deleted after the grace/),
  );
  const other = await org("update", "--storage-mode", "cas");
  expect(other.stderr).toBe("");
  await org("update", "--verification", "off");
  await org("update", "--block-on-policy-violation", "on");
  await org("update", "--block-on-policy-violation", "off");
  expect(reads).toEqual([]);
  expect(updates).toEqual([
    { name: "acme", attestationRetention: { atLeast: "2592000s" } },
    { attestationRetention: { atMost: "0s" }, materialRetention: { atLeast: "604800s" } },
    { materialRetention: { atLeast: "0s", atMost: "31557600s" } },
    { storageMode: "STORAGE_MODE_CAS" },
    { verificationMode: "VERIFICATION_MODE_OFF" },
    { blockOnPolicyViolation: true },
    { blockOnPolicyViolation: false },
  ]);
});

test("get shows the settings, in words and as JSON", async () => {
  const { org } = await serveOrganization({
    ...kept,
    storageMode: StorageMode.SPOOL,
    verificationMode: VerificationMode.TRUSTED,
    ...{ trustRevision: 3, blockOnPolicyViolation: true },
  });
  const { stdout, code } = await org("get");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^storage mode +spool$/m);
  expect(stdout).toMatch(/^verification +trusted$/m);
  expect(stdout).toMatch(/^trust revision +3$/m);
  expect(stdout).toMatch(/^block on policy violation +yes$/m);
  expect(stdout).toMatch(/^attestations kept +at least 90d, at most 7y$/m);
  expect(stdout).toMatch(/^materials kept +forever$/m);
  expect(JSON.parse((await org("get", "-o", "json")).stdout)).toMatchObject({
    attestationRetention: { atLeast: "7776000s", atMost: "220903200s" },
    materialRetention: null,
  });
});

test("nothing to change, a time without a unit and bounds that the server refuses are wrong usage", async () => {
  const { org, updates } = await serveOrganization(kept);
  const nothing = await org("update", "acme");
  expect(nothing.stderr).toContain("give at least one setting to change");
  const bare = await org("update", "--keep-attestations-at-most", "90");
  expect(bare.stderr).toContain("Expected a number and a unit");
  expect([nothing.code, bare.code, updates]).toEqual([2, 2, []]);

  await server?.stop();
  server = await startFakeServer((router) => {
    router.service(OrganizationService, {
      update() {
        throw refusal(Code.InvalidArgument, "RETENTION_INVALID", "at_most must be at least at_least");
      },
    });
  });
  const args = ["org", "update", "--keep-materials-at-least", "2d", "--keep-materials-at-most", "1d"];
  const refused = await attestry(["--addr", server.url, "--token", "t", ...args]);
  expect(refused.stderr).toContain("(RETENTION_INVALID)");
  expect(refused.code).toBe(2);
});
