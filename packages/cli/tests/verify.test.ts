import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { attestry } from "./run-cli.ts";

jest.setTimeout(60_000);

const fixtures = path.resolve(import.meta.dirname, "../../bundle/tests/fixtures");
const chainloop = ["chainloop-cli-63k.json", "--ca", "chainloop-cli-63k.ca.pem"];
const receivedAt = ["--at", "2026-11-23T23:15:00Z"];
const custom = [
  "intoto-with-custom-trust-root.json",
  "--trusted-root",
  "intoto-with-custom-trust-root.trusted_root.json",
];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-verify-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Without a server: any call would fail. */
function verify(args: readonly string[], stdin?: Uint8Array | string) {
  const env = { ATTESTRY_ADDR: "http://127.0.0.1:1" };
  return attestry(["verify", ...args], { cwd: fixtures, env, ...(stdin !== undefined && { stdin }) });
}

describe("verified", () => {
  test("by the certificate that the bundle carries", async () => {
    const { code, stdout, stderr } = await verify(["happy-path-intoto-in-dsse-v3.json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^digest +sha256:0b205ad5[0-9a-f]{56}\nverification +verified \(signature\)\nsigner +https:\/\/github\.com\//,
    );
    expect(stdout).not.toMatch(/log since/);
  });

  test("by a private authority at the time of receipt, as JSON", async () => {
    const { code, stdout } = await verify([...chainloop, ...receivedAt, "-o", "json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      digest: "sha256:92fad8318c5450f7f858c06ac475bddf1c03e39c9323a448894c38bc18118548",
      ...{ status: "verified", check: "trusted", signer: "", issuer: "" },
      ...{ at: "2026-11-23T23:15:00.000Z", integratedAt: null },
      predicateType: "chainloop.dev/attestation/v0.2",
      subjects: [expect.objectContaining({ name: "chainloop.workflow.mid" })],
    });
  });

  test("by a trusted root, with its log's time and a signer that is asked for", async () => {
    const asked = ["--signer", "https://github.com/sigstore-conformance/*", "--log-threshold", "1"];
    const { code, stdout } = await verify([...custom, ...asked, "--timestamp-threshold", "2"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^verification +verified \(trusted\)$/m);
    expect(stdout).toMatch(/^in a log since +2023-02-01T00:00:00\.000Z$/m);
  });
});

describe("not verified, with a reason and exit code 1", () => {
  test.each<[string, string[], RegExp]>([
    ["a bad signature", ["dsse-invalid-sig_fail.json"], /^error: signature: .*\(SIGNATURE_INVALID\)\n$/],
    ["a certificate that has run out", chainloop, /\(SIGNER_UNTRUSTED\)\n$/],
    ["another authority", ["C02-string-predicate.json", ...chainloop.slice(1)], /\(SIGNER_UNTRUSTED\)\n$/],
    [
      "another signer",
      [...custom, "--signer", "https://github.com/acme/*"],
      /^error: signer: .*\(SIGNER_UNTRUSTED\)\n$/,
    ],
    ["another issuer", [...custom, "--issuer", "https://acme.example"], /^error: signer: .*\(SIGNER_UNTRUSTED\)\n$/],
    ["no log entry", [...chainloop, ...receivedAt, "--log-threshold", "1"], /\(TRANSPARENCY_LOG_THRESHOLD\)\n/],
    ["too few times", [...custom, "--timestamp-threshold", "3"], /\(TIMESTAMP_THRESHOLD\)\n/],
    [
      "no checkpoint",
      ["C16-v01-no-checkpoint.json", ...custom.slice(1), "--log-threshold", "1"],
      /\(TRANSPARENCY_LOG_THRESHOLD\)\n/,
    ],
    ["no attestation", ["happy-path-v0.3.json"], /\(MESSAGE_SIGNATURE\)\n/],
    ["no signature", ["C08-no-signature.json"], /\(SIGNATURE_MISSING\)\n/],
    [
      "an authority that is none",
      [...chainloop.slice(0, 2), "C02-string-predicate.json"],
      /^error: certificateAuthorities\[0\]: .*\(TRUST_MATERIAL_INVALID\)\n/,
    ],
    ["a file that is not there", ["absent.json"], /no such file: absent\.json \(FILE_UNREADABLE\)/],
  ])("%s", async (_, args, stderr) => {
    const result = await verify(args);
    expect(result.stderr).toMatch(stderr);
    expect(result).toMatchObject({ code: 1, stdout: "" });
  });

  test.each<[string, string, RegExp]>([
    ["nothing", "", /is empty \(BUNDLE_EMPTY\)/],
    ["blanks", " \n\t\r\n", /blanks \(BUNDLE_EMPTY\)/],
    ["an empty list", "[]", /\(BUNDLE_MALFORMED\)/],
    ["an empty object", "{}", /\(BUNDLE_MALFORMED\)/],
  ])("%s, in a file and from stdin", async (name, text, stderr) => {
    const file = path.join(folder, `${name}.json`);
    await writeFile(file, text);
    for (const result of [
      await verify([file]),
      await verify(["-"], text),
      await verify([file, ...chainloop.slice(1)]),
    ]) {
      expect(result.stderr).toMatch(stderr);
      expect(result).toMatchObject({ code: 1, stdout: "" });
    }
  });

  test("a bundle without a key is not passed over, and the key of its signer verifies it", async () => {
    const bundle = await readFile(path.join(fixtures, "C11-newline-at-end.json"), "utf8");
    const { dsseEnvelope, verificationMaterial } = JSON.parse(bundle);
    const [file, key] = [path.join(folder, "bare.json"), path.join(folder, "key.pem")];
    await writeFile(file, JSON.stringify(dsseEnvelope));
    const { publicKey } = new X509Certificate(Buffer.from(verificationMaterial.certificate.rawBytes, "base64"));
    await writeFile(key, publicKey.export({ type: "spki", format: "pem" }));
    const result = await verify([file]);
    expect(result.stderr).toMatch(/\(SIGNATURE_NOT_CHECKED\)\nhint: give the public key/);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(await verify([file, "--key", key])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^verification +verified \(trusted\)$/m),
    });
  });
});

test.each<[string, string[], RegExp]>([
  ["a signer without anybody to trust", ["--signer", "a"], /at least one of --trusted-root, --ca and --key/],
  ["a threshold alone", ["--log-threshold", "0"], /at least one of/],
  ["a time alone", receivedAt, /--at goes with/],
  ["the moment of a receipt that is not known", ["--at-receipt"], /--at-receipt goes with a digest or run/],
  ["a time that is none", [...chainloop.slice(1), "--at", "noon"], /Expected a time/],
])("%s is wrong usage", async (_, args, stderr) => {
  const result = await verify(["chainloop-cli-63k.json", ...args]);
  expect(result.stderr).toMatch(stderr);
  expect(result).toMatchObject({ code: 2, stdout: "" });
});

test("options for a file do not go with what is stored", async () => {
  for (const args of [chainloop.slice(1), receivedAt, ["--log-threshold", "1"]]) {
    const result = await verify([`sha256:${"0".repeat(64)}`, ...args]);
    expect(result.stderr).toMatch(/verified by the organization's policy/);
    expect(result).toMatchObject({ code: 2, stdout: "" });
  }
});
