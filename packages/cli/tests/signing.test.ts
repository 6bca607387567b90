import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { SigningService, TokenService } from "@attestry/api/run";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { Code, type FakeServer, refusal, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(30_000);

const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
const signer = "urn:uuid:0190a000-0000-7000-8000-000000000000";

let folder = "";
let server: FakeServer;
const seen: unknown[] = [];
const isSetUp = { value: true };

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-signing-"));
  await writeFile(path.join(folder, "request.pem"), "the request");
  server = await startFakeServer((router) => {
    router.service(SigningService, {
      getAuthority() {
        if (!isSetUp.value) throw refusal(Code.FailedPrecondition, "SIGNING_NOT_SET_UP", "no signing authority");
        return {
          certificates: [pem("aXNzdWVy"), pem("cm9vdA==")],
          subjectKeyId: Buffer.from("a1b2", "hex"),
          former: [{ certificates: [pem("Zm9ybWVy")], subjectKeyId: Buffer.from("0c", "hex") }],
          signer,
        };
      },
      issueCertificate({ signingRequest }) {
        seen.push(Buffer.from(signingRequest).toString());
        return { certificates: [pem("bGVhZg=="), pem("cm9vdA==")], expiresAt: timestampFromDate(new Date(0)) };
      },
    });
    router.service(TokenService, {
      create(request) {
        seen.push(request.forChainloop);
        return { token: { name: request.name, forChainloop: request.forChainloop }, secret: "s" };
      },
      list: () => ({ tokens: [{ name: "theirs", forChainloop: true }, { name: "ours" }] }),
    });
  });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const run = (...args: string[]) => attestry(["--addr", server.url, "--token", "t", ...args], { cwd: folder });

test("root prints the chain for a file, and beside it whom certificates name", async () => {
  const shown = await run("signing", "root");
  expect(shown).toMatchObject({ code: 0, stdout: pem("aXNzdWVy") + pem("cm9vdA=="), stderr: `signer: ${signer}\n` });
  const json = await run("signing", "root", "-o", "json");
  expect(JSON.parse(json.stdout)).toEqual({
    certificates: [pem("aXNzdWVy"), pem("cm9vdA==")],
    ...{ subjectKeyId: "a1b2", signer, former: [{ certificates: [pem("Zm9ybWVy")], subjectKeyId: "0c" }] },
  });
});

test("root of a server without an authority fails and prints nothing", async () => {
  isSetUp.value = false;
  const refused = await run("signing", "root");
  isSetUp.value = true;
  expect(refused).toMatchObject({ stdout: "" });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("SIGNING_NOT_SET_UP");
});

test("issue sends the file and prints the chain", async () => {
  seen.length = 0;
  const issued = await run("signing", "issue", "request.pem");
  expect(issued).toMatchObject({ code: 0, stdout: pem("bGVhZg==") + pem("cm9vdA=="), stderr: "" });
  expect(JSON.parse((await run("signing", "issue", "request.pem", "-o", "json")).stdout)).toEqual({
    certificates: [pem("bGVhZg=="), pem("cm9vdA==")],
    expiresAt: "1970-01-01T00:00:00.000Z",
  });
  expect(seen).toEqual(["the request", "the request"]);
  expect((await run("signing", "issue", "none.pem")).stderr).toContain("no such file: none.pem");
});

test("tokens for chainloop are asked for, and shown", async () => {
  seen.length = 0;
  await run("token", "create", "--name", "ours", "--role", "ci");
  const made = await run("token", "create", "--name", "theirs", "--role", "ci", "--chainloop", "-o", "json");
  expect(JSON.parse(made.stdout)).toMatchObject({ name: "theirs", forChainloop: true, secret: "s" });
  expect(seen).toEqual([false, true]);
  const rows = (await run("token", "list")).stdout.split("\n");
  expect(rows.find((row) => row.startsWith("theirs"))).toContain("chainloop");
  expect(rows.find((row) => row.startsWith("ours"))).not.toContain("chainloop");
});
