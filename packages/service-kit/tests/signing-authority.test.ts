import "reflect-metadata";
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import * as x509 from "@peculiar/x509";
import { createSigningAuthorityFiles, readSigningRequest, SigningAuthority } from "../src/certificates/index.ts";
import { reasonOf } from "../src/index.ts";
import { openssl, p256, requestOf } from "./signing-requests.ts";

const organizationId = "36d5485f-0f0c-428d-86ab-8f918fbb0213";
const now = new Date("2026-12-01T10:00:00.500Z");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "attestry-signing-"));
});
afterAll(() => rm(folder, { recursive: true }));

function subjectOf(pem: string): string {
  return new X509Certificate(pem).subject;
}

async function ownPair(name = "own") {
  const { certFile, keyFile } = await createSigningAuthorityFiles(path.join(folder, name));
  return { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8"), certFile, keyFile };
}

describe("a signing request", () => {
  test.each([
    ["ECDSA P-256", p256],
    ["ECDSA P-384", ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]],
    ["ECDSA P-521", ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"]],
    ["Ed25519", ["ed25519"]],
    ["RSA of 2,048 bits", ["rsa:2048"]],
    ["RSA of 4,096 bits", ["rsa:4096"]],
  ])("of a key of %s gives that key", async (_name, newkey) => {
    const request = await requestOf(newkey);
    const key = await readSigningRequest(Buffer.from(request));
    const asked = new x509.Pkcs10CertificateRequest(request).publicKey.rawData;
    expect(key.export({ type: "spki", format: "der" })).toEqual(Buffer.from(asked));
  });

  test.each([
    ["RSA of 1,024 bits", ["rsa:1024"], []],
    ["RSA of 4,608 bits", ["rsa:4608"], []],
    ["RSA-PSS", ["rsa-pss"], []],
    ["another curve", ["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], []],
    ["a curve of its own", [...p256, "-pkeyopt", "ec_param_enc:explicit"], []],
    ["Ed448", ["ed448"], []],
    ["a signature with SHA-1", p256, ["-sha1"]],
  ])("is refused: %s", async (_name, newkey, more) => {
    const request = await requestOf(newkey, "/CN=weak", ...more);
    expect(await reasonOfRefusal(readSigningRequest(Buffer.from(request)))).toBe("SIGNING_REQUEST_INVALID");
  });

  test("is refused if another key signed it, or it was changed since", async () => {
    const request = await requestOf(p256);
    const other = await requestOf(p256);
    const der = pemBytes(request);
    const key = spkiOf(request);
    const at = der.indexOf(key);
    expect(at).toBeGreaterThan(0);
    const swapped = Buffer.concat([der.subarray(0, at), spkiOf(other), der.subarray(at + key.length)]);
    const renamed = Buffer.from(der);
    renamed[der.indexOf("a job")] = 0x41;
    for (const each of [swapped, renamed])
      await expect(readSigningRequest(pemOf(each))).rejects.toThrow("a signature by its own key");
  });

  test("is refused in bounded time if it is none", async () => {
    const request = await requestOf(p256);
    const der = pemBytes(request);
    const started = performance.now();
    const wrong: Uint8Array[] = [
      Buffer.alloc(0),
      Buffer.from("hello"),
      Buffer.from(request + request),
      Buffer.from(request.replaceAll("CERTIFICATE REQUEST", "CERTIFICATE")),
      Buffer.from(request.replaceAll("\n", "").replace("REQUEST-----", "REQUEST-----!")),
      pemOf(der.subarray(0, der.length - 3)),
      pemOf(Buffer.alloc(12_000)),
      pemOf(Buffer.alloc(12_000, 0x30)),
      pemOf(Buffer.from("3080".repeat(5_900), "hex")),
      pemOf(nested(2_800)),
      pemOf(Buffer.concat([Buffer.from("30822ee0", "hex"), Buffer.from("0500".repeat(6_000), "hex")])),
      pemOf(randomBytes(1_000)),
      Buffer.alloc(16 * 1024 + 1, request),
    ];
    for (const bytes of wrong) expect(await reasonOfRefusal(readSigningRequest(bytes))).toBe("SIGNING_REQUEST_INVALID");
    // 0.1 s on a machine at rest.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("with each of its bytes changed is refused or gives the same key", async () => {
    const request = await requestOf(p256);
    const key = spkiOf(request);
    const der = pemBytes(request);
    for (let index = 0; index < der.length; index++) {
      const changed = Buffer.from(der);
      changed[index] = (changed[index] ?? 0) ^ 0x01;
      const found = await readSigningRequest(pemOf(changed)).catch((error: unknown) => reasonOf(error));
      if (typeof found !== "object") expect(found).toBe("SIGNING_REQUEST_INVALID");
      else expect(found.export({ type: "spki", format: "der" })).toEqual(key);
    }
  });
});

describe("a certificate", () => {
  test("names the organization and is for signatures alone, for 10 min, whatever was asked for", async () => {
    const authority = SigningAuthority.load(await ownPair(), now);
    const request = await requestOf(
      p256,
      "/O=another organization/CN=root",
      ...["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"],
      ...["-addext", "subjectAltName=URI:https://github.com/acme/app,email:boss@acme.test"],
    );
    const key = await readSigningRequest(Buffer.from(request));
    const issued = await authority.issue(key, organizationId, now);
    const [leaf = "", root = ""] = issued.certificates;
    expect(issued.certificates).toHaveLength(2);
    const certificate = new x509.X509Certificate(leaf);
    expect(certificate.subject).toBe(`O=${organizationId}`);
    expect(certificate.notBefore.toISOString()).toBe("2026-12-01T09:59:30.000Z");
    expect(certificate.notAfter.toISOString()).toBe("2026-12-01T10:10:00.000Z");
    expect(issued.expiresAt).toEqual(certificate.notAfter);
    expect(certificate.signatureAlgorithm).toMatchObject({ name: "ECDSA", hash: { name: "SHA-384" } });
    expect(certificate.serialNumber).toMatch(/^[4-7][0-9a-f]{39}$/);
    expect(certificate.serialNumber).toBe(issued.serial);
    expect(certificate.extensions.map(({ type, critical }) => [type, critical])).toEqual([
      ["2.5.29.15", true],
      ["2.5.29.37", false],
      ["2.5.29.14", false],
      ["2.5.29.35", false],
      ["2.5.29.17", false],
    ]);
    expect(certificate.getExtension(x509.KeyUsagesExtension)?.usages).toBe(x509.KeyUsageFlags.digitalSignature);
    expect(certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages).toEqual(["1.3.6.1.5.5.7.3.3"]);
    expect(certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON()).toEqual([
      { type: "url", value: `urn:uuid:${organizationId}` },
    ]);
    const keyId = Buffer.from(authority.subjectKeyId).toString("hex");
    expect(certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId).toBe(keyId);
    expect(new x509.X509Certificate(root).getExtension(x509.SubjectKeyIdentifierExtension)?.keyId).toBe(keyId);
    expect(new X509Certificate(leaf).publicKey.equals(key)).toBe(true);
    expect(new X509Certificate(leaf).verify(new X509Certificate(root).publicKey)).toBe(true);
    const again = await authority.issue(key, organizationId, now);
    expect(again.serial).not.toBe(issued.serial);
  });

  test("comes from an intermediate of openssl's with its chain, with the issuer's very name and key id", async () => {
    const made = await openssl({ "ext.cnf": intermediateExtensions }, ...intermediateCommands);
    const chain = made("middle.pem") + made("root.pem");
    const authority = SigningAuthority.load({ cert: chain, key: made("middle-key.pem") });
    const key = generateKeyPairSync("ed25519").publicKey;
    const issued = await authority.issue(key, organizationId);
    expect(issued.certificates).toHaveLength(3);
    const [leaf, middle] = issued.certificates.map((pem) => new x509.X509Certificate(pem));
    if (leaf === undefined || middle === undefined) throw new Error("a chain of three");
    expect(Buffer.from(leaf.issuerName.toArrayBuffer())).toEqual(Buffer.from(middle.subjectName.toArrayBuffer()));
    expect(Buffer.from(authority.subjectKeyId).toString("hex")).toBe("0102030405060708");
    expect(leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId).toBe("0102030405060708");
    // openssl judges the whole chain.
    const verified = openssl(
      { "root.txt": made("root.pem"), "middle.txt": made("middle.pem"), "leaf.txt": issued.certificates[0] ?? "" },
      ["verify", "-x509_strict", "-CAfile", "root.txt", "-untrusted", "middle.txt", "leaf.txt"],
    );
    await expect(verified).resolves.toBeDefined();
    expect(() => SigningAuthority.load({ cert: made("middle.pem"), key: made("middle-key.pem") })).toThrow(/no root/);
    const swapped = { cert: made("root.pem") + made("middle.pem"), key: made("root-key.pem") };
    expect(() => SigningAuthority.load(swapped)).toThrow(/certificate 2 .* is the last and no root/);
    const others = await ownPair("others");
    const strange = { cert: made("middle.pem") + others.cert, key: made("middle-key.pem") };
    expect(() => SigningAuthority.load(strange)).toThrow(/certificate 1 .* is not by the next/);
  });

  test("comes from the first chain of a file; those behind it are former authorities, also such that have run out", async () => {
    const made = await openssl({ "ext.cnf": intermediateExtensions }, ...intermediateCommands);
    const middle = [made("middle.pem"), made("root.pem")];
    const out = await openssl({}, [
      ...["req", "-x509", "-nodes", "-newkey", ...p256, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=out"],
      ...["-addext", "keyUsage=critical,keyCertSign"],
      ...["-days", "1"],
    ]);
    const own = await ownPair("present");
    const cert = [own.cert, ...middle, "# the oldest one\n", out("cert.pem")].join("");
    const later = new Date(Date.now() + 2 * 86_400_000);
    const authority = SigningAuthority.load({ cert, key: own.key }, later);
    expect(authority.certificates).toEqual([own.cert]);
    const former = authority.former.map(({ certificates }) => certificates.map(subjectOf));
    expect(former).toEqual([middle.map(subjectOf), [subjectOf(out("cert.pem"))]]);
    expect(Buffer.from(authority.former[0]?.subjectKeyId ?? []).toString("hex")).toBe("0102030405060708");
    const issued = await authority.issue(generateKeyPairSync("ed25519").publicKey, organizationId);
    expect(issued.certificates.slice(1)).toEqual([own.cert]);
    const cut = { cert: own.cert + made("middle.pem"), key: own.key };
    expect(() => SigningAuthority.load(cut)).toThrow(/certificate 2 .* is the last and no root/);
    const turned = { cert: out("cert.pem") + own.cert, key: out("key.pem") };
    expect(() => SigningAuthority.load(turned, later)).toThrow("good only");
  });

  test("never outlives its authority, and none comes of one that has run out", async () => {
    const authority = SigningAuthority.load(await ownPair());
    const key = generateKeyPairSync("ed25519").publicKey;
    const { until } = authority;
    const late = await authority.issue(key, organizationId, new Date(until.getTime() - 60_000));
    expect(late.expiresAt).toEqual(until);
    expect(await reasonOfRefusal(authority.issue(key, organizationId, until))).toBe("SIGNING_NOT_SET_UP");
  });
});

describe("an authority is refused", () => {
  test("with another key, an encrypted one, none, or one that is too short", async () => {
    const [own, other] = [await ownPair(), await ownPair("other")];
    expect(() => SigningAuthority.load({ cert: own.cert, key: other.key })).toThrow(
      "not that of the first certificate",
    );
    const encrypted = createPrivateKey(own.key).export({
      ...{ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
    });
    expect(() => SigningAuthority.load({ cert: own.cert, key: encrypted.toString() })).toThrow("encrypted");
    expect(() => SigningAuthority.load({ cert: own.cert, key: own.cert })).toThrow("no private key");
    const short = generateKeyPairSync("rsa", { modulusLength: 1_024 }).privateKey.export({
      type: "pkcs8",
      format: "pem",
    });
    await expect(SigningAuthority.selfSigned(short.toString())).rejects.toThrow("2,048 bits");
  });

  test("before and after its time", async () => {
    const own = await ownPair();
    const { until } = SigningAuthority.load(own);
    expect(() => SigningAuthority.load(own, until)).toThrow("is good only from");
    expect(() => SigningAuthority.load(own, new Date("2020-01-01"))).toThrow("is good only from");
  });

  test("that may not sign certificates, or not such", async () => {
    const self = (...extensions: string[]) =>
      openssl({}, [
        ...["req", "-x509", "-nodes", "-newkey", ...p256, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x"],
        ...extensions.flatMap((extension) => ["-addext", extension]),
      ]);
    const load = async (...extensions: string[]) => {
      const made = await self(...extensions);
      return SigningAuthority.load({ cert: made("cert.pem"), key: made("key.pem") });
    };
    await expect(load("basicConstraints=critical,CA:FALSE")).rejects.toThrow("not an authority's");
    await expect(load("keyUsage=digitalSignature")).rejects.toThrow("not an authority's");
    await expect(load("extendedKeyUsage=serverAuth")).rejects.toThrow("codeSigning");
    await expect(load("subjectKeyIdentifier=none")).rejects.toThrow("subject key identifier");
    await expect(load("keyUsage=keyCertSign")).resolves.toBeDefined();
    const own = await ownPair();
    expect(() => SigningAuthority.load({ cert: "", key: own.key })).toThrow("there is no certificate");
    expect(() => SigningAuthority.load({ cert: own.cert.repeat(51), key: own.key })).toThrow("came 51");
    const garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    expect(() => SigningAuthority.load({ cert: garbage, key: own.key })).toThrow("cannot be read");
  });
});

const intermediateExtensions = [
  "[middle]",
  "basicConstraints=critical,CA:TRUE,pathlen:0",
  "keyUsage=critical,keyCertSign",
  "extendedKeyUsage=codeSigning",
  "subjectKeyIdentifier=0102030405060708",
  "authorityKeyIdentifier=keyid",
  "",
].join("\n");
const intermediateCommands = [
  [
    ...["req", "-x509", "-nodes", "-newkey", "rsa:3072", "-keyout", "root-key.pem", "-out", "root.pem", "-utf8"],
    ...["-subj", "/O=Bäckerei/CN=Root", "-days", "30", "-addext", "keyUsage=critical,keyCertSign"],
  ],
  [
    ...["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-keyout", "middle-key.pem"],
    ...["-out", "middle-request.pem", "-utf8", "-subj", "/O=Bäckerei/CN=Signing"],
  ],
  [
    ...["x509", "-req", "-in", "middle-request.pem", "-CA", "root.pem", "-CAkey", "root-key.pem", "-days", "20"],
    ...["-set_serial", "77", "-extfile", "ext.cnf", "-extensions", "middle", "-out", "middle.pem"],
  ],
];

function reasonOfRefusal(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(() => "none", reasonOf);
}

function pemOf(der: Uint8Array): Buffer {
  const base64 = Buffer.from(der).toString("base64");
  return Buffer.from(`-----BEGIN CERTIFICATE REQUEST-----\n${base64}\n-----END CERTIFICATE REQUEST-----\n`);
}

function pemBytes(request: string): Buffer {
  return Buffer.from(x509.PemConverter.decodeFirst(request));
}

function spkiOf(request: string): Buffer {
  return Buffer.from(new x509.Pkcs10CertificateRequest(request).publicKey.rawData);
}

/** Sequences in sequences. */
function nested(depth: number): Buffer {
  const heads: Buffer[] = [];
  let length = 2;
  while (heads.length < depth) {
    const head = length < 128 ? [0x30, length] : [0x30, 0x82, length >> 8, length & 255];
    heads.push(Buffer.from(head));
    length += head.length;
  }
  return Buffer.concat([...heads.reverse(), Buffer.from([5, 0])]);
}
