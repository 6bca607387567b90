import { readFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { CancelTrigger, Role } from "@attestry/api/run";
import { Keyring } from "@attestry/service-kit";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { bundleOfSize, fixture, uniqueBundle } from "./fixtures.ts";

let attestry: Constellation;
let clients: Clients;
let databases: pg.Pool[];

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
  clients = clientsOf(attestry, attestry.adminToken);
  const { runDatabase, ingestDatabase } = attestry.servers;
  databases = [runDatabase, ingestDatabase].map((connectionString) => new pg.Pool({ connectionString, max: 1 }));
}, 60_000);
afterAll(async () => {
  await Promise.all(databases.map((database) => database.end()));
  await attestry.stop();
});

/** Every row of both databases. */
async function everything(): Promise<string[]> {
  const all: string[] = [];
  for (const database of databases) {
    const { rows: tables } = await database.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public' and table_name <> '_prisma_migrations' order by 1",
    );
    for (const { name } of tables) {
      // When a backend was validated changes by itself.
      const { rows } = await database.query<{ row: string }>(
        `select (to_jsonb(t) - '{validated_at,next_validation_at,status,validation_error}'::text[])::text as row from ${name} t order by 1`,
      );
      all.push(...rows.map(({ row }) => `${name} ${row}`));
    }
  }
  return all;
}

interface Refusal {
  code: string;
  reason: string | undefined;
  message: string;
  retry: boolean;
}

async function refusal(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => new ConnectError("it was let through", Code.Unknown),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  return {
    code: Code[error.code],
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    message: error.rawMessage,
    retry: error.findDetails(RetryInfoSchema).length > 0,
  };
}

function changed(bundle: Buffer, change: (parsed: { dsseEnvelope: Record<string, unknown> }) => void): Buffer {
  const parsed = JSON.parse(bundle.toString());
  change(parsed);
  return Buffer.from(JSON.stringify(parsed));
}

const good = fixture("C16-v01-no-checkpoint.json");
const statement = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64");

const badBundles: [what: string, bundle: () => Buffer, code: string, reason: string, says: RegExp][] = [
  ["an empty body", () => Buffer.alloc(0), "InvalidArgument", "BUNDLE_EMPTY", /nothing/],
  ["blanks", () => Buffer.from(" \n\t"), "InvalidArgument", "BUNDLE_EMPTY", /white space|blank|nothing/],
  ["not JSON", () => Buffer.from("no json"), "InvalidArgument", "BUNDLE_NOT_JSON", /JSON/],
  ["JSON that is no bundle", () => Buffer.from('{"a":1}'), "InvalidArgument", "BUNDLE_MALFORMED", /mediaType|bundle/],
  ["a list", () => Buffer.from("[]"), "InvalidArgument", "BUNDLE_MALFORMED", /object|list|array/],
  ["40 MB", () => bundleOfSize(40_000_000), "InvalidArgument", "BUNDLE_TOO_LARGE", /33554432/],
  [
    "a message signature",
    () => fixture("happy-path-v0.3.json"),
    "InvalidArgument",
    "MESSAGE_SIGNATURE",
    /attests nothing/,
  ],
  [
    "a payload that is not base64",
    () => fixture("C10-junk-in-base64.json"),
    "InvalidArgument",
    "PAYLOAD_NOT_BASE64",
    /base64.*\d+|\d+.*base64/,
  ],
  [
    "a payload of 4n+1 characters",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payload: "eyJhb" })),
    "InvalidArgument",
    "PAYLOAD_NOT_BASE64",
    /base64/,
  ],
  [
    "another payload type",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payloadType: "text/plain" })),
    "InvalidArgument",
    "PAYLOAD_TYPE_UNSUPPORTED",
    /text\/plain/,
  ],
  [
    "a statement without subjects",
    () =>
      changed(good, ({ dsseEnvelope }) =>
        Object.assign(dsseEnvelope, {
          payload: statement({ _type: "https://in-toto.io/Statement/v1", subject: [], predicateType: "x" }),
        }),
      ),
    "InvalidArgument",
    "SUBJECT_MISSING",
    /subject/,
  ],
  [
    "a payload that is no statement",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payload: statement({ hello: 1 }) })),
    "InvalidArgument",
    "STATEMENT_MALFORMED",
    /_type/,
  ],
  ["no signature (C08)", () => fixture("C08-no-signature.json"), "InvalidArgument", "SIGNATURE_MISSING", /signature/],
  ["Snappy (C14)", () => fixture("C14-snappy.json.sn"), "InvalidArgument", "BUNDLE_COMPRESSED", /compressed/],
  ["gzip (C14)", () => gzipSync(good), "InvalidArgument", "BUNDLE_COMPRESSED", /compressed/],
  [
    "an entry of a list without its bundle (C14)",
    () => Buffer.from('{"bundle":null,"bundle_url":"https://example.test/x.json.sn"}'),
    "InvalidArgument",
    "BUNDLE_WITHOUT_CONTENT",
    /an entry of an attestation list, without its bundle/,
  ],
  [
    "UTF-16 (C13)",
    () => Buffer.from(`\ufeff${good.toString()}`, "utf16le"),
    "InvalidArgument",
    "BUNDLE_NOT_UTF8",
    /UTF-8/,
  ],
];

describe("Store of what is no attestation", () => {
  test.each(badBundles)(
    "%s",
    async (_what, bundle, code, reason, says) => {
      const runId = await startRun(clients);
      const before = await everything();
      const refused = await refusal(clients.attestations.store({ runId, bundle: bundle() }));
      expect(refused).toMatchObject({ code, reason, retry: false });
      expect(refused.message).toMatch(says);
      expect(await everything()).toEqual(before);
    },
    20_000,
  );

  test("is refused alike over HTTP with JSON", async () => {
    const runId = await startRun(clients);
    const response = await fetch(`${attestry.ingestUrl}/attestry.ingest.v1.AttestationService/Store`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${attestry.adminToken}` },
      body: JSON.stringify({ runId, bundle: "e30=" }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: "invalid_argument",
      details: [{ debug: { reason: "BUNDLE_MALFORMED" } }],
    });
  });
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
    const before = await everything();
    const refused = await refusal(clients.attestations.store({ runId, bundle: uniqueBundle() }));
    expect(refused).toMatchObject({ code, reason, retry: false });
    if (runId !== "") expect(refused.message).toContain(runId);
    expect(await everything()).toEqual(before);
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
    await databases[0]?.query("update run set state = 'expired', finished_at = now() where id = $1", [runId]);
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
    const before = await everything();
    const caller = clientsOf(attestry, await token());
    for (const call of [caller.attestations.store({ runId, bundle: uniqueBundle() }), caller.runs.list({})]) {
      expect(await refusal(call)).toMatchObject({ code: "Unauthenticated", reason, retry: false });
    }
    expect(await everything()).toEqual(before);
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
