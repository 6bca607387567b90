import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { TrustService, type TrustServiceGetResponseSchema, TrustServiceSetRequestSchema } from "@attestry/api/run";
import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, expect, jest, test } from "@jest/globals";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

let folder = "";
let server: FakeServer;
let policy: MessageInitShape<typeof TrustServiceGetResponseSchema> | undefined;
const seen: unknown[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-trust-"));
  for (const name of ["root", "ca", "key"]) await writeFile(path.join(folder, name), `the ${name}\n`);
  server = await startFakeServer((router) => {
    router.service(TrustService, {
      get({ organization, revision }) {
        seen.push({ organization, revision });
        if (policy === undefined) throw refusal(Code.NotFound, "TRUST_NOT_FOUND", "none was set");
        return policy;
      },
      set(request) {
        seen.push(toJson(TrustServiceSetRequestSchema, request));
        return { revision: 4 };
      },
    });
  });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  seen.length = 0;
  policy = undefined;
});

function trust(...args: string[]) {
  return attestry(["--addr", server.url, "--token", "t", "trust", ...args], { cwd: folder });
}

test("set sends the texts of the files, and pairs signers with issuers", async () => {
  const material = ["--trusted-root", "root", "--ca", "ca", "--ca", "key", "--key", "key"];
  const signers = ["--signer", "a*", "--issuer", "https://one.example", "--signer", "b", "--issuer", "*"];
  const set = await trust("set", "--org", "acme", ...material, ...signers, "--log-threshold", "1", "-o", "json");
  expect(set).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(set.stdout)).toEqual({ revision: 4 });
  await trust("set", "--ca", "ca", "--signer", "a", "--signer", "b", "--issuer", "i", "--timestamp-threshold", "2");
  await trust("set", "--key", "key", "--issuer", "i");
  await trust("set", "--key", "key", "--signer", "a");
  expect(seen).toEqual([
    {
      organization: "acme",
      policy: {
        trustedRoots: ["the root\n"],
        certificateAuthorities: ["the ca\n", "the key\n"],
        publicKeys: ["the key\n"],
        transparencyLogThreshold: 1,
        signers: [
          { subject: "a*", issuer: "https://one.example" },
          { subject: "b", issuer: "*" },
        ],
      },
    },
    {
      policy: {
        certificateAuthorities: ["the ca\n"],
        timestampThreshold: 2,
        signers: [
          { subject: "a", issuer: "i" },
          { subject: "b", issuer: "i" },
        ],
      },
    },
    { policy: { publicKeys: ["the key\n"], signers: [{ subject: "*", issuer: "i" }] } },
    { policy: { publicKeys: ["the key\n"], signers: [{ subject: "a", issuer: "*" }] } },
  ]);
});

test.each([
  [
    "a trusted root",
    ["--trusted-root", "root", "--log-threshold", "1"],
    /^any signer of these authorities is trusted .*: anybody/,
  ],
  [
    "a CA, beside a key",
    ["--ca", "ca", "--key", "key"],
    /^any signer of these authorities is trusted .*--signer PATTERN/,
  ],
  [
    "an issuer alone",
    ["--trusted-root", "root", "--issuer", "i"],
    /^any signer of these authorities by that issuer is/,
  ],
])("set of %s says on stderr that it trusts any signer, and how to narrow it", async (_what, args, says) => {
  const set = await trust("set", ...args, "-o", "json");
  expect([set.code, JSON.parse(set.stdout)]).toEqual([0, { revision: 4 }]);
  expect(set.stderr).toMatch(says);
});

test("set of keys alone, or of signers, says nothing of the kind", async () => {
  for (const args of [
    ["--key", "key"],
    ["--trusted-root", "root", "--ca", "ca", "--signer", "a"],
  ]) {
    expect(await trust("set", ...args)).toMatchObject({ code: 0, stderr: "" });
  }
});

test.each([
  ["nothing to trust", ["--signer", "a"], 2, /at least one of --trusted-root, --ca and --key/],
  [
    "issuers that go with no signer",
    ["--ca", "ca", "--signer", "a", "--issuer", "i", "--issuer", "j"],
    2,
    /--issuer once/,
  ],
  ["a signer of which nothing is said", ["--ca", "ca", "--signer", ""], 2, /Expected a pattern/],
  ["a threshold that is none", ["--ca", "ca", "--log-threshold", "-1"], 2, /whole number/],
  ["a file that is not there", ["--ca", "absent"], 1, /no such file: absent \(FILE_UNREADABLE\)/],
])("set refuses %s, and asks no server", async (_what, args, code, says) => {
  const set = await trust("set", ...args);
  expect(set.code).toBe(code);
  expect(set.stderr).toMatch(says);
  expect(seen).toEqual([]);
});

test("show says what is in force, or in a revision", async () => {
  policy = {
    revision: 2,
    setAt: timestampFromDate(new Date("2026-11-28T10:00:00Z")),
    policy: {
      certificateAuthorities: ["pem"],
      transparencyLogThreshold: 1,
      signers: [{ subject: "https://github.com/acme/*", issuer: "https://token.example" }],
    },
  };
  const shown = await trust("show", "--revision", "2", "--org", "acme");
  expect(shown.code).toBe(0);
  expect(shown.stdout).toMatch(/^revision +2\nset +2026-11-28T10:00:00Z$/m);
  expect(shown.stdout).toMatch(/^certificate authorities +1$/m);
  expect(shown.stdout).toMatch(/^signers +https:\/\/github.com\/acme\/\* by https:\/\/token.example$/m);
  expect(JSON.parse((await trust("show", "-o", "json")).stdout)).toMatchObject({
    policy: { certificateAuthorities: ["pem"], trustedRoots: [] },
    revision: 2,
    setAt: "2026-11-28T10:00:00Z",
  });
  expect(seen).toEqual([
    { organization: "acme", revision: 2 },
    { organization: "", revision: 0 },
  ]);
});

test("show of an organization without one says how to set it", async () => {
  const shown = await trust("show");
  expect(shown.code).toBe(3);
  expect(shown.stderr).toMatch(/\(TRUST_NOT_FOUND\)\nhint: `attestry trust set`/);
});
