import { BackendProvider, CasRole, CasSpace, Role } from "@attestry/api/run";
import type { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { refusal } from "./errors.ts";
import { type Clients, type Harness, startHarness } from "./harness.ts";

interface BadInput {
  name: string;
  call: (clients: Callers) => Promise<unknown>;
  code: keyof typeof Code;
  reason: string;
  /** What the message must say: what was expected, or what came. */
  says: RegExp;
}

interface Callers {
  admin: Clients;
  ci: Clients;
  reader: Clients;
  ingest: Clients;
  nobody: Clients;
  organizationId: string;
}

const organizationId = "00000000-0000-7000-8000-000000000001";
const noRun = "00000000-0000-7000-8000-000000000002";
const digest = `sha256:${"ab".repeat(32)}`;
const planGivenAt = { seconds: 1n, nanos: 0 };
const s3 = { name: "x", provider: BackendProvider.S3, secretRef: "mine" };
const inline = { name: "x", provider: BackendProvider.INLINE };
const forService = { organizationId, role: CasRole.DOWNLOADER, space: CasSpace.BLOBS };

const invalid = (reason: string, says: RegExp, name: string, call: BadInput["call"]): BadInput => ({
  ...{ name, call, reason, says },
  code: "InvalidArgument",
});
const issue = (clients: Clients, purpose: object): Promise<unknown> =>
  clients.credentials.issueCasToken({ purpose } as never);

const table: BadInput[] = [
  ...["", "Acme", "-a", "a".repeat(64), "a/b", "../x", "a\0"].map((name) =>
    invalid("NAME_INVALID", /lower-case letters/, `organization ${JSON.stringify(name)}`, ({ admin }) =>
      admin.organizations.create({ name }),
    ),
  ),
  invalid("REQUEST_INVALID", /database, cas, spool; came 9/, "storage mode", ({ admin }) =>
    admin.organizations.create({ name: "x", storageMode: 9 as never }),
  ),
  ...["", "a b", "ä", "a/b", "a".repeat(129)].flatMap((name) => [
    invalid("NAME_INVALID", /1 to 128 letters/, `project ${JSON.stringify(name)}`, ({ ci }) =>
      ci.runs.create({ project: name, workflow: "w" }),
    ),
    invalid("NAME_INVALID", /1 to 128 letters/, `workflow ${JSON.stringify(name)}`, ({ ci }) =>
      ci.workflows.findOrCreate({ project: "p", name }),
    ),
  ]),
  invalid("REQUEST_INVALID", /at most 128 characters; came 129/, "long key", ({ ci }) =>
    ci.runs.create({ project: "p", workflow: "w", idempotencyKey: "k".repeat(129) }),
  ),
  invalid("REQUEST_INVALID", /printable/, "key with a line end", ({ ci }) =>
    ci.runs.create({ project: "p", workflow: "w", idempotencyKey: "a\nb" }),
  ),
  invalid("REQUEST_INVALID", /at most 2048 characters/, "long job URL", ({ ci }) =>
    ci.runs.create({ project: "p", workflow: "w", jobUrl: `https://x/${"y".repeat(2_048)}` }),
  ),
  ...["", "7", "not-a-uuid", `${noRun}0`, `{${noRun}}`].map((runId) =>
    invalid("RUN_ID_INVALID", /must be a UUID; came/, `run id ${JSON.stringify(runId)}`, ({ reader }) =>
      reader.runs.get({ by: { case: "runId", value: runId } }),
    ),
  ),
  ...[
    "",
    "ab".repeat(32),
    digest.toUpperCase(),
    `sha256:${"AB".repeat(32)}`,
    digest.slice(0, -1),
    `${digest}0`,
  ].flatMap((value) => [
    invalid(
      "DIGEST_INVALID",
      /64 lower-case hexadecimal digits, got/,
      `digest ${JSON.stringify(value)}`,
      ({ reader }) => reader.runs.get({ by: { case: "digest", value } }),
    ),
    invalid("DIGEST_INVALID", /64 lower-case hex/, `download of ${JSON.stringify(value)}`, ({ reader }) =>
      issue(reader, { case: "download", value: { digest: value } }),
    ),
  ]),
  invalid("REQUEST_INVALID", /run_id or digest/, "no run id", ({ reader }) => reader.runs.get({})),
  invalid("REQUEST_INVALID", /trigger must be one of/, "trigger", ({ ci }) =>
    ci.runs.cancel({ runId: noRun, trigger: 7 as never }),
  ),
  invalid("REQUEST_INVALID", /at most 1024 characters/, "long reason", ({ ci }) =>
    ci.runs.cancel({ runId: noRun, reason: "r".repeat(1_025) }),
  ),
  invalid("REQUEST_INVALID", /zero bytes/, "zero byte", ({ ci }) => ci.runs.cancel({ runId: noRun, reason: "a\0" })),
  invalid("REQUEST_INVALID", /needs project/, "workflow without project", ({ reader }) =>
    reader.runs.list({ workflow: "w" }),
  ),
  invalid("REQUEST_INVALID", /state must be one of/, "state", ({ reader }) => reader.runs.list({ state: 99 as never })),
  ...[-1, 201].map((pageSize) =>
    invalid("PAGE_SIZE_INVALID", /1 to 200/, `page size ${pageSize}`, ({ reader }) => reader.runs.list({ pageSize })),
  ),
  ...["garbage", "AAAA", "MS54LnnDpA"].flatMap((pageToken) => [
    invalid("PAGE_TOKEN_INVALID", /page_token/, `runs after ${pageToken}`, ({ reader }) =>
      reader.runs.list({ pageToken }),
    ),
    invalid("PAGE_TOKEN_INVALID", /page_token/, `tokens after ${pageToken}`, ({ admin }) =>
      admin.tokens.list({ pageToken }),
    ),
  ]),
  ...["", "/x", "a/b", "_shared/", "../x", "_shared/../x", "_SHARED/x", "A"].map((secretRef) =>
    invalid("SECRET_REF_INVALID", /_shared\/NAME/, `secret ${JSON.stringify(secretRef)}`, ({ admin }) =>
      admin.backends.create({ ...s3, secretRef }),
    ),
  ),
  invalid("SECRET_REF_INVALID", /empty/, "secret of inline", ({ admin }) =>
    admin.backends.create({ ...inline, secretRef: "x" }),
  ),
  invalid("PROVIDER_INVALID", /inline, filesystem, s3; came nothing/, "no provider", ({ admin }) =>
    admin.backends.create({ name: "x" }),
  ),
  ...["/a", "a/", "a//b", "..", "a/../b", "./a", "a b", "a".repeat(201)].map((prefix) =>
    invalid("PREFIX_INVALID", /between slashes/, `prefix ${JSON.stringify(prefix)}`, ({ admin }) =>
      admin.backends.create({ ...s3, prefix }),
    ),
  ),
  ...[-1n, 2n ** 41n].map((maxBytes) =>
    invalid("MAX_BYTES_INVALID", /1 to .* bytes/, `max bytes ${maxBytes}`, ({ admin }) =>
      admin.backends.create({ ...s3, maxBytes }),
    ),
  ),
  invalid("REQUEST_INVALID", /only be set to true/, "no default", ({ admin }) =>
    admin.backends.update({ name: "inline", isDefault: false }),
  ),
  invalid("ROLE_INVALID", /admin, ci, reader; came nothing/, "no role", ({ admin }) =>
    admin.tokens.create({ name: "x" }),
  ),
  ...[-1n, 2n ** 40n].map((lifetimeSeconds) =>
    invalid("LIFETIME_INVALID", /0 for no end/, `lifetime ${lifetimeSeconds}`, ({ admin }) =>
      admin.tokens.create({ name: "x", role: Role.CI, lifetimeSeconds }),
    ),
  ),
  invalid("REQUEST_INVALID", /cursor/, "cursor", ({ ingest }) => ingest.tokens.listRevoked({ cursor: -1n })),
  invalid("REQUEST_INVALID", /one purpose/, "no purpose", ({ ci }) => ci.credentials.issueCasToken({})),
  invalid("REQUEST_INVALID", /not both/, "two names of a backend", ({ ingest }) =>
    issue(ingest, { case: "service", value: { ...forService, backendId: noRun, backendName: "x" } }),
  ),
  invalid("REQUEST_INVALID", /role must be/, "no CAS role", ({ ingest }) =>
    issue(ingest, { case: "service", value: { ...forService, role: 0 } }),
  ),
  invalid("REQUEST_INVALID", /space must be/, "no CAS space", ({ ingest }) =>
    issue(ingest, { case: "service", value: { ...forService, space: 0 } }),
  ),
  invalid("REQUEST_INVALID", /size_bytes/, "plan of nothing", ({ ingest }) =>
    ingest.runs.getStoragePlan({ organizationId, runId: noRun, digest }),
  ),
  invalid("REQUEST_INVALID", /plan_given_at/, "no plan", ({ ingest }) =>
    ingest.runs.complete({ organizationId, runId: noRun, digest }),
  ),
  invalid("REQUEST_INVALID", /years 1 to 9999/, "plan far in the future", ({ ingest }) =>
    ingest.runs.complete({ organizationId, runId: noRun, digest, planGivenAt: { seconds: 2n ** 60n, nanos: 0 } }),
  ),
  invalid("REQUEST_INVALID", /organization_id must be a UUID/, "organization id", ({ ingest }) =>
    ingest.runs.complete({ organizationId: "x", runId: noRun, digest, planGivenAt }),
  ),
  {
    ...{ name: "unknown run", code: "NotFound", reason: "RUN_NOT_FOUND", says: /no run/ },
    call: ({ ingest }) => ingest.runs.complete({ organizationId, runId: noRun, digest, planGivenAt }),
  },
  {
    ...{ name: "no token", code: "Unauthenticated", reason: "TOKEN_MISSING", says: /Bearer/ },
    call: ({ nobody }) => nobody.runs.list({}),
  },
  {
    ...{
      name: "a client's Complete",
      code: "PermissionDenied",
      reason: "ROLE_INSUFFICIENT",
      says: /attestation-ingest/,
    },
    call: ({ admin }) => admin.runs.complete({ organizationId, runId: noRun, digest, planGivenAt }),
  },
  {
    ...{
      name: "a client's service token",
      code: "PermissionDenied",
      reason: "ROLE_INSUFFICIENT",
      says: /service token/,
    },
    call: ({ admin }) => issue(admin, { case: "service", value: forService }),
  },
  {
    ...{ name: "a service's upload", code: "PermissionDenied", reason: "ROLE_INSUFFICIENT", says: /API token/ },
    call: ({ ingest }) => issue(ingest, { case: "upload", value: {} }),
  },
  {
    ...{ name: "a reader's upload", code: "PermissionDenied", reason: "ROLE_INSUFFICIENT", says: /ci/ },
    call: ({ reader }) => issue(reader, { case: "upload", value: {} }),
  },
  {
    ...{ name: "an inline upload", code: "FailedPrecondition", reason: "BACKEND_INLINE", says: /inline/ },
    call: ({ ci }) => issue(ci, { case: "upload", value: {} }),
  },
  {
    ...{ name: "an inline download", code: "FailedPrecondition", reason: "BACKEND_INLINE", says: /inline/ },
    call: ({ reader }) => issue(reader, { case: "download", value: { digest } }),
  },
  {
    ...{ name: "unknown backend", code: "NotFound", reason: "BACKEND_NOT_FOUND", says: /no backend x/ },
    call: ({ ci }) => issue(ci, { case: "upload", value: { backend: "x" } }),
  },
];

describe("bad input", () => {
  let harness: Harness;
  let callers: Callers;
  let before: unknown;
  beforeAll(async () => {
    harness = await startHarness();
    const { admin, ci, reader, id } = await harness.organization("bad");
    // The default organization's admin may create organizations too, so it calls where that matters.
    callers = {
      admin: { ...admin, organizations: harness.admin.organizations },
      ci,
      reader,
      ingest: harness.ingest,
      nobody: harness.as(""),
      organizationId: id,
    };
    before = await content(harness);
  });
  afterAll(() => harness.stop());

  test.each(table)("$name", async ({ call, code, reason, says }) => {
    const refused = await refusal(call(callers));
    expect(refused).toMatchObject({ code, reason, domain: "attestry.dev", retry: false });
    expect(refused.message).toMatch(says);
  });

  test("leaves the database as it was", async () => {
    expect(await content(harness)).toEqual(before);
  });
});

async function content({ pool }: Harness): Promise<unknown> {
  const tables = ["organization", "workflow", "backend", "run", "token"];
  return Promise.all(tables.map(async (name) => (await pool.query(`select * from ${name} order by id`)).rows));
}
