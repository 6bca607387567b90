import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { BundleError, checkSignature, checkSignatureIfFast, DEFAULT_LIMITS, parseBundle } from "../src/index.ts";
import {
  type Authority,
  authority,
  certificateMaterial,
  ecdsa,
  ecKeys,
  encoding,
  flipped,
  ISSUER,
  leaf,
  type Pair,
  parsed,
  SIGNER,
  type Signing,
  signedBundle,
} from "./signing.ts";
import { bytesOf, fixture, refusalText, STATEMENT } from "./support.ts";

const ACTIONS = "https://token.actions.githubusercontent.com";

let root: Authority;
beforeAll(async () => {
  root = await authority("CN=Root");
});

async function bundleBy(keys: Pair, ...signers: Signing[]) {
  return signedBundle(certificateMaterial(await leaf(root, keys.publicKey)), ...signers);
}

describe("real bundles", () => {
  test.each([
    ["chainloop-cli-63k.json", "", ""],
    // Its signature is encoded twice.
    ["chainloop-v0.3.json", "", ""],
    ["happy-path-intoto-in-dsse-v3.json", "https://github.com/sigstore-conformance/", ACTIONS],
    ["intoto-with-custom-trust-root.json", "https://github.com/sigstore-conformance/", ACTIONS],
    ["intoto-expired-certificate_fail.json", "https://github.com/sigstore-conformance/", ACTIONS],
    ["C02-string-predicate.json", "https://example.test/acme/", ""],
    ["C04-git-commit.json", "https://example.test/acme/", ""],
    ["C05-same-subject-twice.json", "https://example.test/acme/", ""],
    ["C11-newline-at-end.json", "https://example.test/acme/", ""],
    ["C13-byte-order-mark.json", "https://example.test/acme/", ""],
    ["C16-v01-no-checkpoint.json", "https://example.test/acme/", ""],
    ["C19-two-spellings.json", "https://example.test/acme/", ""],
  ])("%s is as it was signed", (name, signer, issuer) => {
    const found = checkSignature(parseBundle(fixture(name)));
    expect(found).toMatchObject({ status: "verified", issuer });
    expect(found.status === "verified" && found.signer.startsWith(signer)).toBe(true);
  });

  test("dsse-invalid-sig_fail is not", () => {
    expect(refusalText(() => checkSignature(parseBundle(fixture("dsse-invalid-sig_fail.json"))))).toMatch(
      /^SIGNATURE_INVALID: signature: expected .* by the prime256v1 key, got one that is not$/,
    );
  });
});

describe("without a certificate", () => {
  const keys = ecKeys();
  test.each([
    ["no material", undefined],
    ["null", null],
    ["an empty one", {}],
    ["the hint of a public key", { publicKey: { hint: "release" } }],
    ["log entries alone", { tlogEntries: [{}] }],
  ])("%s: nothing can be checked", (_, material) => {
    expect(checkSignature(parsed(signedBundle(material, ecdsa(keys))))).toEqual({
      status: "not_checked",
      reason: "no_key",
    });
  });

  test("a bare envelope: nothing can be checked", () => {
    const { dsseEnvelope } = signedBundle({}, ecdsa(keys));
    expect(checkSignature(parsed(dsseEnvelope))).toEqual({ status: "not_checked", reason: "no_key" });
  });
});

describe("keys", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const ed25519 = generateKeyPairSync("ed25519");
  const p384 = ecKeys("P-384");
  const p521 = ecKeys("P-521");
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const kinds: [what: string, keys: Pair, signing: Signing][] = [
    ["P-256 and SHA-256", ...both(ecKeys(), "sha256")],
    ["P-384 and SHA-384", ...both(p384, "sha384")],
    ["P-384 and SHA-256", ...both(p384, "sha256")],
    ["P-521 and SHA-512", ...both(p521, "sha512")],
    ["P-521 and SHA-256", ...both(p521, "sha256")],
    ["RSA, PKCS #1 v1.5", rsa, (data) => sign("sha256", data, rsa.privateKey)],
    ["RSA, PSS", rsa, (data) => sign("sha256", data, { key: rsa.privateKey, ...pss })],
    ["Ed25519", ed25519, (data) => sign(null, data, ed25519.privateKey)],
  ];

  function both(keys: Pair, digest: string): [Pair, Signing] {
    return [keys, ecdsa(keys, digest)];
  }

  test.each(kinds)("%s verifies, and what was changed does not", async (_, keys, signing) => {
    const good = await bundleBy(keys, signing);
    expect(checkSignature(parsed(good))).toEqual({ status: "verified", signer: SIGNER, issuer: ISSUER });
    const twice = await bundleBy(keys, (data) => Buffer.from(signing(data).toString("base64")));
    expect(checkSignature(parsed(twice))).toMatchObject({ status: "verified" });

    const changed = await bundleBy(keys, (data) => flipped(signing(data), -1));
    expect(refusalText(() => checkSignature(parsed(changed)))).toMatch(/^SIGNATURE_INVALID/);
    const other = signing(encoding(bytesOf({ ...STATEMENT, predicateType: "https://other.example" })));
    const moved = await bundleBy(keys, () => other);
    expect(refusalText(() => checkSignature(parsed(moved)))).toMatch(/^SIGNATURE_INVALID/);
    const bare = await bundleBy(keys, () => signing(bytesOf(STATEMENT)));
    expect(refusalText(() => checkSignature(parsed(bare)))).toMatch(/^SIGNATURE_INVALID/);
    const empty = await bundleBy(keys, () => Buffer.from([0]));
    expect(refusalText(() => checkSignature(parsed(empty)))).toMatch(/^SIGNATURE_INVALID/);
  });

  test.each(kinds)(
    "%s is verified in an event loop only if it is fast, and then with the same result",
    async (what, keys, signing) => {
      const good = parsed(await bundleBy(keys, signing));
      const wrong = parsed(await bundleBy(keys, (data) => flipped(signing(data), -1)));
      if (what.startsWith("P-384") || what.startsWith("P-521")) {
        expect(checkSignatureIfFast(good)).toBeUndefined();
        expect(checkSignatureIfFast(wrong)).toBeUndefined();
        return;
      }
      expect(checkSignatureIfFast(good)).toEqual(checkSignature(good));
      expect(refusalText(() => checkSignatureIfFast(wrong))).toBe(refusalText(() => checkSignature(wrong)));
    },
  );

  test("RSA of 8,192 bits and several signatures are for a thread; no certificate is told at once", async () => {
    const large = generateKeyPairSync("rsa", { modulusLength: 8192 });
    const byLarge = await bundleBy(large, (data) => sign("sha256", data, large.privateKey));
    expect(checkSignatureIfFast(parsed(byLarge))).toBeUndefined();
    expect(checkSignature(parsed(byLarge))).toMatchObject({ status: "verified" });
    const twice = await bundleBy(ed25519, ...Array<Signing>(2).fill((data) => sign(null, data, ed25519.privateKey)));
    expect(checkSignatureIfFast(parsed(twice))).toBeUndefined();
    expect(checkSignatureIfFast(parsed(signedBundle({}, ecdsa(p384))))).toEqual({
      status: "not_checked",
      reason: "no_key",
    });
  });

  test("another key of the same kind does not verify", async () => {
    const bundle = await bundleBy(ecKeys(), ecdsa(ecKeys()));
    expect(refusalText(() => checkSignature(parsed(bundle)))).toMatch(/^SIGNATURE_INVALID/);
  });

  test("the payload type is signed too", async () => {
    const keys = ecKeys();
    const bundle = await bundleBy(keys, (data) => ecdsa(keys)(data));
    const envelope = { ...(bundle.dsseEnvelope as object), payloadType: "application/vnd.in-toto.other+json" };
    expect(refusalText(() => checkSignature(parsed({ ...bundle, dsseEnvelope: envelope })))).toMatch(
      /^SIGNATURE_INVALID/,
    );
  });

  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const curve = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  test.each<[string, KeyObject, RegExp]>([
    ["RSA of 1024 bits", weak.publicKey, /got an RSA key of 1024 bits/],
    ["another curve", curve.publicKey, /got an ECDSA key on the curve secp256k1/],
    ["X25519", generateKeyPairSync("x25519").publicKey, /got a key of type x25519/],
    ["Ed448", generateKeyPairSync("ed448").publicKey, /got a key of type ed448/],
  ])("%s is refused", async (_, key, message) => {
    const keys = ecKeys();
    const der = replaceKey(await leaf(root, keys.publicKey), keys.publicKey, key);
    const bundle = signedBundle(certificateMaterial(der), ecdsa(keys));
    const text = refusalText(() => checkSignature(parsed(bundle)));
    expect(text).toMatch(/^VERIFICATION_MATERIAL_INVALID: .*expected an ECDSA key/);
    expect(text).toMatch(message);
  });
});

// A certificate for a key that no web crypto can import; its own signature is of no interest here.
function replaceKey(der: Buffer, from: KeyObject, to: KeyObject): Buffer {
  const spki = (key: KeyObject) => key.export({ type: "spki", format: "der" });
  const at = der.indexOf(spki(from));
  const tbs = derOf(
    0x30,
    Buffer.concat([der.subarray(8, at), spki(to), der.subarray(at + spki(from).length, 8 + der.readUInt16BE(6))]),
  );
  return derOf(0x30, Buffer.concat([tbs, der.subarray(8 + der.readUInt16BE(6))]));
}

function derOf(tag: number, content: Buffer): Buffer {
  const head = Buffer.from([tag, 0x82, 0, 0]);
  head.writeUInt16BE(content.length, 2);
  return Buffer.concat([head, content]);
}

describe("several signatures", () => {
  const keys = ecKeys();
  const other = ecKeys();

  test("all by the certificate's key verify", async () => {
    const bundle = await bundleBy(keys, ecdsa(keys), ecdsa(keys));
    expect(checkSignature(parsed(bundle))).toMatchObject({ status: "verified" });
  });

  test.each<[string, Signing[], RegExp]>([
    ["one by another key", [ecdsa(keys), ecdsa(other)], /signature 2 of 2/],
    ["the first by another key", [ecdsa(other), ecdsa(keys)], /signature 1 of 2/],
    ["more than 16", Array.from({ length: 17 }, () => ecdsa(keys)), /expected at most 16, got 17/],
  ])("%s: none is passed over", async (_, signers, message) => {
    const bundle = await bundleBy(keys, ...signers);
    const text = refusalText(() => checkSignature(parsed(bundle)));
    expect(text).toMatch(/^SIGNATURE_INVALID/);
    expect(text).toMatch(message);
  });

  test("100,000 of them are refused at once", async () => {
    const bundle = await bundleBy(keys, ecdsa(keys));
    const { dsseEnvelope } = bundle as { dsseEnvelope: { signatures: unknown[] } };
    const signatures = Array.from({ length: 100_000 }, () => dsseEnvelope.signatures[0]);
    const limits = { ...DEFAULT_LIMITS, signatures: signatures.length };
    const hostile = parsed({ ...bundle, dsseEnvelope: { ...dsseEnvelope, signatures } }, limits);
    const before = process.cpuUsage();
    expect(refusalText(() => checkSignature(hostile))).toMatch(/^SIGNATURE_INVALID/);
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
  });
});

describe("material that cannot be read", () => {
  const keys = ecKeys();
  const chain = (certificates: unknown) => ({ x509CertificateChain: { certificates } });
  test.each<[string, unknown, RegExp]>([
    ["a certificate without bytes", { certificate: {} }, /certificate\.rawBytes: expected 1 to 65536 bytes, got 0/],
    ["a certificate that is text", { certificate: "AAAA" }, /\.certificate: expected an object, got "AAAA"/],
    ["bytes that are a number", { certificate: { rawBytes: 1 } }, /rawBytes: expected base64, got the number 1/],
    [
      "bytes that are no base64",
      { certificate: { rawBytes: "A*==" } },
      /rawBytes: expected base64, got .* character 1/,
    ],
    ["no certificate at all", { certificate: { rawBytes: "AAAA" } }, /expected an X\.509 certificate/],
    ["an endless certificate", { certificate: { rawBytes: "A".repeat(1e6) } }, /got 750000 bytes/],
    ["deeply nested bytes", { certificate: { rawBytes: nested().toString("base64") } }, /expected an X\.509/],
    ["an empty chain", chain([]), /certificates\[0\]: expected an object, got nothing/],
    ["a chain that is none", chain({}), /certificates: expected an array/],
    ["a chain of null", chain([null]), /certificates\[0\]: expected an object, got null/],
    ["two kinds", { certificate: { rawBytes: "AAAA" }, publicKey: { hint: "x" } }, /expected one of .* got 2 of them/],
    ["two spellings", { publicKey: { hint: "x" }, public_key: { hint: "x" } }, /expected publicKey once/],
  ])("%s", (_, material, message) => {
    const text = refusalText(() => checkSignature(parsed(signedBundle(material, ecdsa(keys)))));
    expect(text).toMatch(/^VERIFICATION_MATERIAL_INVALID/);
    expect(text).toMatch(message);
    expect(text.length).toBeLessThan(400);
  });

  test("each byte of a certificate turned: never anything but a refusal or the same names", async () => {
    const der = await leaf(root, keys.publicKey);
    const outcomes = new Set<string>();
    for (let at = 0; at < der.length; at++) {
      const bundle = parsed(signedBundle(certificateMaterial(flipped(der, at)), ecdsa(keys)));
      try {
        outcomes.add(checkSignature(bundle).status);
      } catch (error) {
        outcomes.add(error instanceof BundleError ? error.code : String(error));
      }
    }
    expect([...outcomes].sort()).toEqual(["VERIFICATION_MATERIAL_INVALID", "verified"]);
  });

  test.each<[string, Parameters<typeof leaf>[2], RegExp]>([
    ["a line end in the issuer", { issuer: Buffer.from("0c03610a62", "hex") }, /issuer/],
    ["bytes that are no UTF-8", { issuer: Buffer.from("0c0161ff".replace("0161", "0261"), "hex") }, /issuer/],
  ])("a name with %s", async (_, options, message) => {
    const bundle = signedBundle(certificateMaterial(await leaf(root, keys.publicKey, options)), ecdsa(keys));
    const text = refusalText(() => checkSignature(parsed(bundle)));
    expect(text).toMatch(/^VERIFICATION_MATERIAL_INVALID/);
    expect(text).toMatch(message);
  });

  function nested(): Buffer {
    let der = Buffer.alloc(0);
    for (let depth = 0; depth < 12_000; depth++) der = Buffer.concat([Buffer.from([0x30, 0x80]), der]);
    return der;
  }
});

describe("whom a certificate names", () => {
  const keys = ecKeys();
  test.each<[string, Parameters<typeof leaf>[2], string]>([
    ["an email address", { names: [{ type: "email", value: "a@acme.example" }] }, "a@acme.example"],
    [
      "a URI before an email address",
      {
        names: [
          { type: "email", value: "a@acme.example" },
          { type: "url", value: "https://acme.example/" },
        ],
      },
      "https://acme.example/",
    ],
    ["a host", { names: [{ type: "dns", value: "acme.example" }] }, ""],
    ["nobody", { names: [] }, ""],
  ])("%s", async (_, options, signer) => {
    const bundle = signedBundle(certificateMaterial(await leaf(root, keys.publicKey, options)), ecdsa(keys));
    expect(checkSignature(parsed(bundle))).toEqual({ status: "verified", signer, issuer: ISSUER });
  });

  test("the first of a chain is the signer's", async () => {
    const material = {
      x509CertificateChain: {
        certificates: [await leaf(root, keys.publicKey), root.der].map((der) => ({ rawBytes: der.toString("base64") })),
      },
    };
    expect(checkSignature(parsed(signedBundle(material, ecdsa(keys))))).toMatchObject({ signer: SIGNER });
    material.x509CertificateChain.certificates.reverse();
    expect(refusalText(() => checkSignature(parsed(signedBundle(material, ecdsa(keys)))))).toMatch(
      /^SIGNATURE_INVALID/,
    );
  });
});
