import { Role } from "@attestry/api/run";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { TestIssuer } from "../../../../services/workflow-run/tests/test-issuer.ts";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, eventually } from "./clients.ts";
import { outcomeOf, servedMethod, servedMethods } from "./reflected.ts";

let attestry: Constellation;
let admin: Clients;
/** A read on each service, by name; answers the reason of its refusal. */
const reads = new Map<string, (token: string) => Promise<string | undefined>>();

beforeAll(async () => {
  attestry = await startConstellation({
    ...{ shape: "processes", backend: "filesystem" },
    env: { FEDERATION_PRIVATE_ISSUERS: "true" },
  });
  admin = clientsOf(attestry, attestry.adminToken);
  const served = await servedMethods(attestry);
  for (const name of [
    "attestry.run.v1.RunService/List",
    "attestry.ingest.v1.AttestationService/List",
    "build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
  ]) {
    const { method, transport } = servedMethod(served, name);
    reads.set(name, async (token) => (await outcomeOf(transport, method, token)).reason);
  }
}, 120_000);
afterAll(async () => {
  await attestry?.stop();
});

const refusals = (token: string) => Promise.all([...reads.values()].map((read) => read(token)));

/** How long each service took to refuse a token, in milliseconds from now, where that is what `SECURITY.md` promises. */
async function refusedAfter(secret: string): Promise<number[]> {
  const began = performance.now();
  return Promise.all(
    [...reads.values()].map(async (read) => {
      await eventually(
        () => read(secret),
        (reason) => reason === "TOKEN_REVOKED",
      );
      return performance.now() - began;
    }),
  );
}
const promisedMs = 10_000;

test.each([false, true])(
  "a revoked token is refused by every service within 10 s, for chainloop: %s",
  async (forChainloop) => {
    const name = `revoked-${forChainloop}`;
    const { secret } = await admin.tokens.create({ name, role: Role.READER, forChainloop });
    expect(await refusals(secret)).toEqual([undefined, undefined, undefined]);
    await admin.tokens.revoke({ token: name });
    expect(Math.max(...(await refusedAfter(secret)))).toBeLessThan(promisedMs);
  },
  60_000,
);

test("so is what a federation rule gave, once the rule is deleted, and what another rule gave is not", async () => {
  const issuer = new TestIssuer();
  await issuer.start();
  try {
    for (const name of ["gone", "kept"]) {
      const conditions = [{ claim: "workflow", pattern: name }];
      const rule = { name, issuer: issuer.url, audience: "attestry", role: Role.READER, conditions };
      await admin.federation.create({ rule });
    }
    const exchange = async (workflow: string) => {
      const idToken = await issuer.github({ workflow });
      return (await admin.federation.exchange({ organization: "default", idToken })).secret;
    };
    const [gone, kept] = [await exchange("gone"), await exchange("kept")];
    expect(await refusals(gone)).toEqual([undefined, undefined, undefined]);
    await admin.federation.delete({ name: "gone" });
    expect(Math.max(...(await refusedAfter(gone)))).toBeLessThan(promisedMs);
    expect(await refusals(kept)).toEqual([undefined, undefined, undefined]);
  } finally {
    await issuer.stop();
  }
}, 60_000);

test("a token for chainloop that its holder changed is refused by every service", async () => {
  const { secret } = await admin.tokens.create({ name: "changed", role: Role.READER, forChainloop: true });
  const [header, claims = "", signature] = secret.split(".");
  const text = Buffer.from(claims, "base64url").toString();
  const changed = Buffer.from(text.replace('"role":"reader"', '"role":"admin"')).toString("base64url");
  expect(changed).not.toBe(claims);
  const invalid = "TOKEN_SIGNATURE_INVALID";
  expect(await refusals(`${header}.${changed}.${signature}`)).toEqual([invalid, invalid, invalid]);
});

test("the last use of a token is known, wherever it was used, once a service has told of it", async () => {
  const lastUsed = async (name: string) => {
    const { tokens } = await admin.tokens.list({ pageSize: 200 });
    return tokens.find((token) => token.name === name)?.lastUsedAt;
  };
  const { secret } = await admin.tokens.create({ name: "used-at-cas", role: Role.READER });
  await admin.tokens.create({ name: "never-used", role: Role.READER });
  const [, , atCas] = reads.values();
  await atCas?.(secret);
  expect(await lastUsed("used-at-cas")).toBeUndefined();
  // A service tells what is left when it ends.
  await attestry.end("cas-gateway");
  expect(await lastUsed("used-at-cas")).toBeDefined();
  expect(await lastUsed("never-used")).toBeUndefined();
}, 60_000);

test("the keys of tokens are published, without what is secret of them", async () => {
  const answer = await fetch(`${attestry.runUrl}/.well-known/jwks.json`);
  expect(answer.headers.get("content-type")).toBe("application/jwk-set+json");
  const { keys } = (await answer.json()) as { keys: Record<string, string>[] };
  expect(keys.map(({ kid = "" }) => kid.split(".")[0])).toEqual(["workflow-run"]);
  expect(keys.every((key) => key.d === undefined)).toBe(true);
  expect(keys[0]).toMatchObject({ kty: "OKP", crv: "Ed25519" });
  expect((await fetch(`${attestry.runUrl}/.well-known/jwks.json`, { method: "POST" })).status).toBe(405);
});
