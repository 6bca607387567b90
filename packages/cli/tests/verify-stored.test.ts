import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import pg from "pg";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(60_000);

const fixtures = path.resolve(import.meta.dirname, "../../bundle/tests/fixtures");
const fixture = (name: string) => path.join(fixtures, name);

let constellation: Constellation;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  constellation = await startConstellation({ shape: "one-process", backend: "inline" });
  ({ cli, json } = cliOf(constellation));
});
afterAll(() => constellation?.stop());

async function stored(name: string): Promise<string> {
  return (await json<{ digest: string }>("store", fixture(name), "--workflow", "cli/verify")).digest;
}

test("what carries no key is not verified by anything", async () => {
  const { dsseEnvelope } = JSON.parse(await readFile(fixture("intoto-with-custom-trust-root.json"), "utf8"));
  const args = ["store", "-", "--workflow", "cli/verify", "-o", "json"];
  const { stdout } = await cli(args, { stdin: JSON.stringify(dsseEnvelope) });
  const { code, stderr } = await cli(["verify", (JSON.parse(stdout) as { digest: string }).digest]);
  expect(stderr).toMatch(/attestry trust set --key FILE \(SIGNATURE_NOT_CHECKED\)\n$/);
  expect(code).toBe(1);
});

test("by the signature without a policy, then by whatever policy is in force", async () => {
  const digest = await stored("intoto-with-custom-trust-root.json");
  const issuer = "https://token.actions.githubusercontent.com";
  expect(await json("verify", digest)).toMatchObject({
    digest,
    ...{ status: "verified", check: "signature" },
    trustRevision: 0,
    issuer,
  });

  await json(
    "trust",
    "set",
    "--trusted-root",
    fixture("intoto-with-custom-trust-root.trusted_root.json"),
    "--log-threshold",
    "1",
  );
  expect(await json("verify", digest)).toMatchObject({
    ...{ status: "verified", trustRevision: 1, issuer },
    signer: expect.stringContaining("extremely-dangerous-public-oidc-beacon"),
    integratedAt: expect.stringMatching(/^2023-02-01T/),
  });
  const table = await cli(["verify", digest]);
  expect(table.stdout).toMatch(/^verification +verified \(trusted\)$/m);
  expect(table.stdout).toMatch(/^trust revision +1$/m);

  await json("trust", "set", "--ca", fixture("chainloop-cli-63k.ca.pem"));
  const refused = await cli(["verify", digest]);
  expect(refused.stderr).toMatch(/\(SIGNER_UNTRUSTED\)\nhint: `attestry trust show`/);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
});

test("now, or at the moment of receipt", async () => {
  await json("trust", "set", "--ca", fixture("chainloop-cli-63k.ca.pem"));
  const digest = await stored("chainloop-cli-63k.json");
  const database = new pg.Client({ connectionString: constellation.servers.ingestDatabase });
  await database.connect();
  await database.query("update attestation set received_at = '2026-11-23T23:15:00Z' where digest = $1", [
    Buffer.from(digest.slice("sha256:".length), "hex"),
  ]);
  await database.end();
  const now = await cli(["verify", digest]);
  expect(now.stderr).toContain("(SIGNER_UNTRUSTED)");
  expect(now.code).toBe(1);
  expect(await json("verify", digest, "--at-receipt")).toMatchObject({
    ...{ digest, status: "verified", at: "2026-11-23T23:15:00.000Z" },
  });
});

test("of a digest that is absent ends with 3", async () => {
  const { code, stderr } = await cli(["verify", `sha256:${"0".repeat(64)}`]);
  expect(stderr).toContain("(ATTESTATION_NOT_FOUND)");
  expect(code).toBe(3);
});

test("get and list show what was found when it was stored", async () => {
  const digest = await stored("C04-git-commit.json");
  const got = await json<{ verification: object }>("get", digest);
  expect(got.verification).toMatchObject({ status: "verified", reason: null, mode: "signature", trustRevision: 0 });
  expect((await cli(["get", digest, "-o", "table"])).stdout).toMatch(/^verification +verified \(signature\)$/m);
  expect((await cli(["list"])).stdout).toMatch(/verified \(signature\)/);
});

test("org update sets the mode; what Store refuses then says why", async () => {
  await json("trust", "set", "--ca", fixture("chainloop-cli-63k.ca.pem"));
  expect(await json("org", "update", "--verification", "trusted")).toMatchObject({ verificationMode: "trusted" });
  const { code, stderr } = await cli(["store", fixture("C05-same-subject-twice.json"), "--workflow", "cli/verify"]);
  expect(stderr).toContain("(SIGNER_UNTRUSTED)");
  expect(code).toBe(1);
  await json("org", "update", "--verification", "off");
  const digest = await stored("dsse-invalid-sig_fail.json");
  expect((await cli(["get", digest, "-o", "table"])).stdout).toMatch(/^verification +not checked: off$/m);
  const refused = await cli(["verify", digest]);
  expect(refused.stderr).toContain("(SIGNATURE_INVALID)");
  expect(refused.code).toBe(1);
});
