import { BackendProvider, Role } from "@attestry/api/run";
import { chainloopAccess as controlPlaneAccess, access as ingestAccess } from "@attestry/attestation-ingest";
import { access as casAccess, chainloopAccess } from "@attestry/cas-gateway";
import { access as runAccess } from "@attestry/workflow-run";
import type { JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { clientsOf, startRun } from "./clients.ts";
import { digestOf, uniqueBundle } from "./fixtures.ts";
import { chainloopAsks, chainloopNamesNothing } from "./named-chainloop.ts";
import { blobOf, type Named, namesNothing, asks as nativeAsks } from "./named-resources.ts";

import { outcomeOf, type Served, servedMethod, servedMethods } from "./reflected.ts";
import { Keys } from "./signed-by.ts";

const asks = [...nativeAsks, ...chainloopAsks];

/**
 * What belongs to another organization cannot be told from what is not there: each method that names a resource is
 * asked for one of `default` and for one of nobody, by an admin of another organization, and must answer alike.
 */

const reapi = "build.bazel.remote.execution.v2.ContentAddressableStorage";
const bundle = uniqueBundle();
let attestry: Constellation;
let existing: Named;
let own: { organizationId: string; backendId: string };
const tokens = new Map<string, string>();
let served: Served;

const absent: Named = {
  bundle: bundle.toString("base64"),
  ...{ organization: "nobodys-org", organizationId: "0190a000-0000-7000-8000-000000000001" },
  ...{ run: "0190a000-0000-7000-8000-000000000002", digest: `sha256:${"ab".repeat(32)}`, blob: "cd".repeat(32) },
  ...{ project: "nobodys-project", workflow: "nobodys-workflow", backend: "nobodys-backend" },
  ...{ contract: "nobodys-contract", version: "nobodys-version" },
  ...{ backendId: "0190a000-0000-7000-8000-000000000003", token: "nobodys-token" },
  tokenId: "0190a000-0000-7000-8000-000000000004",
  rule: "nobodys-rule",
};

beforeAll(async () => {
  attestry = await startConstellation({
    ...{ shape: "processes", backend: "filesystem" },
    env: { CHAINLOOP_COMPAT: "true" },
  });
  const admin = clientsOf(attestry, attestry.adminToken);
  served = await servedMethods(attestry);

  const { organization } = await admin.organizations.create({ name: "other" });
  const { secret } = await admin.tokens.create({ name: "admin", role: Role.ADMIN, organization: "other" });
  const mine = await clientsOf(attestry, secret).backends.create({
    ...{ name: "mine", provider: BackendProvider.FILESYSTEM, secretRef: "_shared/local", isDefault: true },
  });
  own = { organizationId: organization?.id ?? "", backendId: mine.backend?.id ?? "" };
  tokens.set("", secret);

  existing = await fillDefault();
  const keys = new Keys(attestry);
  for (const service of ["attestation-ingest", "cas-gateway"] as const)
    tokens.set(service, await (await keys.keyring(service)).serviceToken("workflow-run"));
  tokens.set(
    "cas-gateway to attestation-ingest",
    await (await keys.keyring("cas-gateway")).serviceToken("attestation-ingest"),
  );
  const manager = await ask("attestry.run.v1.CredentialService/IssueCasToken", tokens.get("attestation-ingest") ?? "", {
    service: { organizationId: own.organizationId, role: "CAS_ROLE_MANAGER", space: "CAS_SPACE_BLOBS" },
  });
  tokens.set("manager", (JSON.parse(manager.message) as { token: string }).token);
}, 120_000);
afterAll(async () => {
  await attestry?.stop();
});

/** One of each kind in `default`. */
async function fillDefault(): Promise<Named> {
  const admin = clientsOf(attestry, attestry.adminToken);
  const made = await startRun(admin);
  await admin.attestations.store({ runId: made, bundle });
  const { token } = await admin.tokens.create({ name: "theirs", role: Role.CI });
  const rule = { name: "their-rule", issuer: "https://id.example.test", audience: "attestry", role: "ROLE_CI" };
  await ask("attestry.run.v1.FederationService/Create", attestry.adminToken, {
    rule: { ...rule, conditions: [{ claim: "repository", pattern: "acme/app" }] },
  });
  await ask("attestry.run.v1.ContractService/Create", attestry.adminToken, { name: "their-contract", project: "shop" });
  await ask("attestry.run.v1.RunService/Create", attestry.adminToken, {
    ...{ project: "shop", workflow: "release", projectVersion: { version: "their-version" } },
  });
  const { backend } = await admin.backends.get({ name: "local" });
  const blob = digestOf(Buffer.from("hello")).slice("sha256:".length);
  await ask(`${reapi}/BatchUpdateBlobs`, attestry.adminToken, {
    requests: [{ digest: blobOf(blob), data: "aGVsbG8=" }],
  });
  return {
    bundle: bundle.toString("base64"),
    ...{ organization: "default", organizationId: attestry.organizationId, run: made, digest: digestOf(bundle), blob },
    ...{ project: "shop", workflow: "release", backend: "local", backendId: backend?.id ?? "" },
    ...{ contract: "their-contract", version: "their-version" },
    ...{ token: "theirs", tokenId: token?.id ?? "", rule: "their-rule" },
  };
}

function ask(method: string, token: string, request: JsonValue) {
  const found = servedMethod(served, method);
  return outcomeOf(found.transport, found.method, token, request);
}

test("each method stands in one of the two lists", () => {
  const tables = { ...runAccess, ...ingestAccess, ...casAccess, ...chainloopAccess, ...controlPlaneAccess };
  const listed = [...new Set(asks.map(({ method }) => method)), ...namesNothing, ...chainloopNamesNothing];
  expect(listed.sort()).toEqual(Object.keys(tables).sort());
});

test.each(
  asks.map(
    (one) =>
      [
        one.method,
        JSON.stringify(one.request({ ...absent, bundle: "" }, { organizationId: "OWN", backendId: "MINE" })),
        one,
      ] as const,
  ),
)("%s %s", async (method, _request, { as, told, request }) => {
  const isIngest = method.startsWith("attestry.ingest.");
  const token = tokens.get(as === undefined ? "" : isIngest ? `${as} to attestation-ingest` : as) ?? "";
  const [theirs, nobodys] = await Promise.all(
    [existing, absent].map(async (named) => {
      const { message, ...rest } = await ask(method, token, request(named, own));
      return { ...rest, message: withoutNames(message, named) };
    }),
  );
  expect(theirs).toEqual(nobodys);
  expect([theirs?.code, theirs?.reason].filter((part) => part !== undefined).join(" ")).toBe(told);
});

test("and all of it is still there", async () => {
  const admin = clientsOf(attestry, attestry.adminToken);
  expect((await admin.backends.get({ name: existing.backend })).backend?.maxBytes).not.toBe(7n);
  expect((await admin.tokens.list({})).tokens.find(({ name }) => name === existing.token)?.revokedAt).toBeUndefined();
  expect((await admin.attestations.get({ by: { case: "digest", value: existing.digest } })).bundle).toHaveLength(
    bundle.length,
  );
  const read = await ask(`${reapi}/BatchReadBlobs`, attestry.adminToken, { digests: [blobOf(existing.blob)] });
  expect(read.message).toContain("aGVsbG8=");
});

/** What was asked for is in the answer too; the names of the kinds take its place. */
function withoutNames(text: string, named: Named): string {
  return Object.entries(named).reduce((rest, [kind, name]) => rest.replaceAll(name, `<${kind}>`), text);
}
