import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { parseTrustPolicy, type TrustMaterial, type TrustPolicy } from "../src/index.ts";
import { isSignerAllowed } from "../src/verify/signer-pattern.ts";
import { type Authority, authority, ecKeys, leaf, pemOf } from "./signing.ts";
import { fixture, refusalText } from "./support.ts";
import { TransparencyLog, trustedRoot } from "./transparency-log.ts";

function parse(material: Partial<TrustMaterial>, rest: Partial<TrustPolicy> = {}) {
  return parseTrustPolicy({
    material: { trustedRoots: [], certificateAuthorities: [], publicKeys: [], ...material },
    ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
    ...rest,
  });
}

const publicGood = fixture("sigstore-public-good.trusted_root.json").toString();

describe("read", () => {
  test("the public-good instance", () => {
    const { tlogs, anchors, timestampAuthorities } = parse({ trustedRoots: [publicGood] });
    expect(tlogs.length).toBeGreaterThan(0);
    expect(anchors).toEqual([expect.objectContaining({ ctlogThreshold: 1 })]);
    expect(timestampAuthorities.length).toBeGreaterThan(0);
  });

  test("several of each kind, PEM with text around it and the line ends of Windows", async () => {
    const [a, b] = [await authority("CN=A"), await authority("CN=B")];
    const windows = `subject=CN=A\r\n${a.pem.replaceAll("\n", "\r\n")}\r\n\r\n`;
    const key = generateKeyPairSync("ed25519").publicKey;
    const policy = parse({
      trustedRoots: [publicGood, trustedRoot({ logs: [new TransparencyLog()] })],
      certificateAuthorities: [windows, b.pem],
      publicKeys: [pemOf(key), pemOf(ecKeys("P-384").publicKey)],
    });
    expect(policy.anchors).toHaveLength(3);
    expect(policy.anchors[2]?.certificateAuthorities).toHaveLength(2);
    expect(policy.publicKeys).toHaveLength(2);
  });

  test("nothing at all", () => {
    expect(parse({})).toMatchObject({ anchors: [], publicKeys: [], tlogs: [] });
  });
});

describe("refused, saying which entry and why", () => {
  let root: Authority;
  let texts: Record<string, string>;
  beforeAll(async () => {
    root = await authority("CN=Root");
    const intermediate = await authority("CN=Intermediate", root);
    const der = await leaf(root, ecKeys().publicKey);
    const block = (label: string, bytes: Buffer) =>
      `-----BEGIN ${label}-----\n${bytes.toString("base64")}\n-----END ${label}-----\n`;
    texts = {
      root: root.pem,
      intermediate: intermediate.pem,
      leaf: block("CERTIFICATE", der),
      garbage: block("CERTIFICATE", Buffer.from("garbage")),
      privateKey: ecKeys().privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      weak: pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey),
      key: pemOf(ecKeys().publicKey),
    };
  });
  const withKey = (rawBytes: string) => publicGood.replace(/"rawBytes": "[^"]*"/, `"rawBytes": "${rawBytes}"`);

  test.each<[string, (t: Record<string, string>) => Partial<TrustMaterial>, RegExp]>([
    ["text", () => ({ trustedRoots: [publicGood, "{"] }), /trustedRoots\[1\]: .*not JSON/],
    ["a list", () => ({ trustedRoots: ["[]"] }), /trustedRoots\[0\]: .*got an empty array/],
    ["another file", () => ({ trustedRoots: ["{}"] }), /trustedRoots\[0\]\.mediaType: .*got nothing/],
    [
      "a signing config",
      () => ({ trustedRoots: ['{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}'] }),
      /mediaType/,
    ],
    ["an empty root", () => ({ trustedRoots: [trustedRoot({})] }), /trustedRoots\[0\]: expected at least one/],
    ["a key that is none", () => ({ trustedRoots: [withKey("AAAA")] }), /trustedRoots\[0\]: .*keys and certificates/],
    [
      "a log without a key",
      () => ({ trustedRoots: [JSON.stringify({ ...JSON.parse(publicGood), tlogs: [{}] })] }),
      /trustedRoots\[0\]/,
    ],
    [
      "a null authority",
      () => ({ trustedRoots: [JSON.stringify({ ...JSON.parse(publicGood), certificateAuthorities: [null] })] }),
      /trustedRoots\[0\]/,
    ],
    [
      "33 logs",
      () => ({ trustedRoots: [trustedRoot({ logs: Array(33).fill(new TransparencyLog()) })] }),
      /tlogs: expected at most 32, got 33/,
    ],
    [
      "an endless chain",
      ({ root: pem = "" }) => ({ certificateAuthorities: [pem.repeat(11)] }),
      /at most 10 certificates/,
    ],
    [
      "nothing",
      () => ({ certificateAuthorities: [" \n"] }),
      /certificateAuthorities\[0\]: .*BEGIN CERTIFICATE, got nothing/,
    ],
    [
      "no PEM",
      ({ root: pem = "" }) => ({ certificateAuthorities: [pem, "hello"] }),
      /certificateAuthorities\[1\]: .*no such block/,
    ],
    ["a key for a certificate", ({ key = "" }) => ({ certificateAuthorities: [key] }), /got "BEGIN PUBLIC KEY"/],
    [
      "no certificate",
      ({ garbage = "" }) => ({ certificateAuthorities: [garbage] }),
      /certificate 1: expected an X\.509 certificate/,
    ],
    [
      "a signer's certificate",
      (t) => ({ certificateAuthorities: [`${t.root}${t.leaf}`] }),
      /certificate 2: .*may not issue others/,
    ],
    [
      "a chain without its root",
      ({ intermediate = "" }) => ({ certificateAuthorities: [intermediate] }),
      /no self-signed certificate/,
    ],
    [
      "a certificate for a key",
      ({ root: pem = "" }) => ({ publicKeys: [pem] }),
      /publicKeys\[0\]: .*got "BEGIN CERTIFICATE"/,
    ],
    ["two keys in one", ({ key = "" }) => ({ publicKeys: [`${key}${key}`] }), /expected one public key, got 2/],
    [
      "a private key",
      ({ privateKey = "" }) => ({ publicKeys: [privateKey] }),
      /publicKeys\[0\]: .*got "BEGIN PRIVATE KEY"$/,
    ],
    ["a weak key", ({ weak = "" }) => ({ publicKeys: [weak] }), /got an RSA key of 1024 bits/],
  ])("%s", (_, material, message) => {
    const text = refusalText(() => parse(material(texts)));
    expect(text).toMatch(/^TRUST_MATERIAL_INVALID: /);
    expect(text).toMatch(message);
    expect(text.length).toBeLessThan(500);
  });

  test.each([-1, 0.5, Number.NaN])("a threshold of %p", (threshold) => {
    expect(refusalText(() => parse({}, { transparencyLogThreshold: threshold }))).toMatch(/^TRUST_MATERIAL_INVALID/);
    expect(refusalText(() => parse({}, { timestampThreshold: threshold }))).toMatch(/^TRUST_MATERIAL_INVALID/);
  });
});

describe("patterns of signers", () => {
  const uri = "https://github.com/acme/widget/.github/workflows/release.yml@refs/tags/v1";
  test.each<[string, string, boolean]>([
    ["", uri, true],
    ["", "", true],
    ["*", "", true],
    ["*", uri, true],
    [uri, uri, true],
    [uri, `${uri}x`, false],
    [uri, `x${uri}`, false],
    ["https://github.com/acme/*", uri, true],
    ["https://github.com/acme/*", "https://github.com/acme/", true],
    ["https://github.com/acme/*", "https://github.com/acme", false],
    ["https://github.com/acme/*", `x${uri}`, false],
    ["https://github.com/*/release.yml@refs/tags/*", uri, true],
    ["https://github.com/*/release.yml@refs/heads/*", uri, false],
    ["*@acme.example", "a@acme.example", true],
    ["*@acme.example", "a@acme.example.evil", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["a*b*c", "abc", true],
    ["a*b*c", "acb", false],
    ["*b*b*", "b", false],
    ["a**b", "ab", true],
    ["a.c", "abc", false],
    ["a?c", "abc", false],
    ["[a]", "a", false],
    ["ACME", "acme", false],
    ["a\\*", "a*", false],
  ])("%p and %p", (pattern, text, allowed) => {
    expect(isSignerAllowed([{ subject: pattern, issuer: "" }], text, "")).toBe(allowed);
    expect(isSignerAllowed([{ subject: "", issuer: pattern }], "", text)).toBe(allowed);
  });

  test("no pattern lets everybody in, and no pattern takes long", () => {
    expect(isSignerAllowed([], uri, "")).toBe(true);
    const before = process.cpuUsage();
    expect(isSignerAllowed([{ subject: `${"*a".repeat(500)}*b`, issuer: "" }], "a".repeat(4096), "")).toBe(false);
    expect(process.cpuUsage(before).user).toBeLessThan(500_000);
  });
});
