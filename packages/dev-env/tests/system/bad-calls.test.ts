import { readFile } from "node:fs/promises";
import path from "node:path";
import { CancelTrigger, Role } from "@attestry/api/run";
import { Keyring } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { uniqueBundle } from "./fixtures.ts";
import { Databases, refusal } from "./refusals.ts";

let attestry: Constellation;
let clients: Clients;
let databases: Databases;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
  clients = clientsOf(attestry, attestry.adminToken);
  databases = new Databases(attestry);
}, 60_000);
afterAll(async () => {
  await databases?.end();
  await attestry?.stop();
});

describe("Store for a run that takes none", () => {
  const noRun = "0190a000-0000-7000-8000-000000000000";
  const runs: [what: string, runId: () => Promise<string>, code: string, reason: string][] = [
    ["unknown", () => Promise.resolve(noRun), "NotFound", "RUN_NOT_FOUND"],
    ["a malformed id", () => Promise.resolve("run-1"), "InvalidArgument", "RUN_ID_INVALID"],
    ["no id", () => Promise.resolve(""), "InvalidArgument", "RUN_ID_INVALID"],
    ["of another organization", runOfAnother, "NotFound", "RUN_NOT_FOUND"],
    ["cancelled", () => cancelled(CancelTrigger.CANCELLATION), "FailedPrecondition", "RUN_CANCELLED"],
    ["failed", () => cancelled(CancelTrigger.FAILURE), "FailedPrecondition", "RUN_FAILED"],
    ["expired", expired, "FailedPrecondition", "RUN_EXPIRED"],
    ["stored with another digest", stored, "AlreadyExists", "RUN_HAS_OTHER_ATTESTATION"],
  ];
  test.each(runs)("%s", async (_what, prepare, code, reason) => {
    const runId = await prepare();
    const before = await databases.everything();
    const refused = await refusal(clients.attestations.store({ runId, bundle: uniqueBundle() }));
    expect(refused).toMatchObject({ code, reason, retry: false });
    if (runId !== "") expect(refused.message).toContain(runId);
    expect(await databases.everything()).toEqual(before);
  });

  async function runOfAnother(): Promise<string> {
    await clients.organizations.create({ name: "other" });
    const { secret } = await clients.tokens.create({ name: "ci", role: Role.CI, organization: "other" });
    return startRun(clientsOf(attestry, secret));
  }
  async function cancelled(trigger: CancelTrigger): Promise<string> {
    const runId = await startRun(clients);
    await clients.runs.cancel({ runId, trigger });
    return runId;
  }
  async function expired(): Promise<string> {
    const runId = await startRun(clients);
    await databases.run.query("update run set state = 'expired', finished_at = now() where id = $1", [runId]);
    return runId;
  }
  async function stored(): Promise<string> {
    const runId = await startRun(clients);
    await clients.attestations.store({ runId, bundle: uniqueBundle() });
    await untilQuiet();
    return runId;
  }
  /** Until the uploads have ended, which change rows. */
  async function untilQuiet(): Promise<void> {
    while ((await clients.uploads.list({})).uploads.length > 0) await new Promise((wait) => setTimeout(wait, 50));
  }
});

describe("who calls", () => {
  async function key(): Promise<Keyring> {
    const folder = path.join(path.dirname(attestry.secretsDir), "keys");
    await readFile(path.join(folder, "jwks.json"));
    return Keyring.load({
      signingKeyFile: path.join(folder, "workflow-run.jwk.json"),
      jwksFile: path.join(folder, "jwks.json"),
    });
  }
  const claims = () => ({
    tokenId: "0190a000-0000-7000-8000-000000000000",
    organizationId: attestry.organizationId,
    organization: "default",
    role: "admin" as const,
    instanceAdmin: false,
  });
  const callers: [what: string, token: () => Promise<string>, reason: string][] = [
    ["no token", () => Promise.resolve(""), "TOKEN_MISSING"],
    ["garbage", () => Promise.resolve("garbage"), "TOKEN_MALFORMED"],
    [
      "an expired token",
      async () => (await key()).issueApiToken({ ...claims(), expiresAt: new Date(Date.now() - 60_000) }),
      "TOKEN_EXPIRED",
    ],
    ["the wrong audience", async () => (await key()).serviceToken("cas-gateway"), "TOKEN_AUDIENCE_WRONG"],
    [
      "a key that nobody knows",
      async () => (await Keyring.generate())["workflow-run"].issueApiToken(claims()),
      "TOKEN_SIGNATURE_INVALID",
    ],
  ];
  test.each(callers)("%s", async (_what, token, reason) => {
    const runId = await startRun(clients);
    const before = await databases.everything();
    const caller = clientsOf(attestry, await token());
    for (const call of [caller.attestations.store({ runId, bundle: uniqueBundle() }), caller.runs.list({})]) {
      expect(await refusal(call)).toMatchObject({ code: "Unauthenticated", reason, retry: false });
    }
    expect(await databases.everything()).toEqual(before);
  });

  test("a reader stores nothing", async () => {
    const { secret } = await clients.tokens.create({ name: "reader", role: Role.READER });
    const attempt = clientsOf(attestry, secret).attestations.store({ runId: "", bundle: uniqueBundle() });
    expect(await refusal(attempt)).toMatchObject({ code: "PermissionDenied", reason: "ROLE_INSUFFICIENT" });
  });
});

describe("reading", () => {
  const hex = "ab".repeat(32);
  const reads: [what: string, call: () => Promise<unknown>, code: string, reason: string][] = [
    [
      "a cursor of garbage",
      () => clients.attestations.list({ pageToken: "garbage" }),
      "InvalidArgument",
      "PAGE_TOKEN_INVALID",
    ],
    [
      "a cursor of garbage for runs",
      () => clients.runs.list({ pageToken: "%%" }),
      "InvalidArgument",
      "PAGE_TOKEN_INVALID",
    ],
    ["a page too large", () => clients.runs.list({ pageSize: 201 }), "InvalidArgument", "PAGE_SIZE_INVALID"],
    ["a digest in upper case", () => byDigest(`sha256:${hex.toUpperCase()}`), "InvalidArgument", "DIGEST_INVALID"],
    ["a digest of the wrong length", () => byDigest(`sha256:${hex}a`), "InvalidArgument", "DIGEST_INVALID"],
    ["a digest without its algorithm", () => byDigest(hex), "InvalidArgument", "DIGEST_INVALID"],
    ["a digest that nobody stored", () => byDigest(`sha256:${hex}`), "NotFound", "ATTESTATION_NOT_FOUND"],
    [
      "a malformed run id",
      () => clients.attestations.get({ by: { case: "runId", value: "x" } }),
      "InvalidArgument",
      "RUN_ID_INVALID",
    ],
    [
      "a run's digest in upper case",
      () => clients.runs.get({ by: { case: "digest", value: hex.toUpperCase() } }),
      "InvalidArgument",
      "DIGEST_INVALID",
    ],
  ];
  test.each(reads)("%s", async (_what, call, code, reason) => {
    expect(await refusal(call())).toMatchObject({ code, reason, retry: false });
  });

  function byDigest(value: string): Promise<unknown> {
    return clients.attestations.get({ by: { case: "digest", value } });
  }
});
