import { createPublicKey, type KeyObject } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { X509Certificate } from "@sigstore/core";
import { BundleError, parseBundle } from "../src/index.ts";
import { readCertificate } from "../src/verify/certificate.ts";
import { leafOf, materialOf } from "../src/verify/material.ts";
import { type Authority, authority, ecKeys, leaf } from "./signing.ts";
import { fixture } from "./support.ts";

const names = [
  "C02-string-predicate.json",
  "chainloop-cli-63k.json",
  "chainloop-v0.3.json",
  "happy-path-intoto-in-dsse-v3.json",
  "intoto-with-custom-trust-root.json",
  "intoto-expired-certificate_fail.json",
  "dsse-invalid-sig_fail.json",
];
const ISSUERS = ["1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1"];

let root: Authority;
beforeAll(async () => {
  root = await authority("CN=Root");
});

function certificateIn(name: string): Buffer<ArrayBuffer> {
  const der = leafOf(materialOf(parseBundle(fixture(name))));
  if (der === undefined) throw new Error(`${name} has no certificate`);
  return der;
}

/** The same as @sigstore/core reads it, by which bundles are verified against what is trusted. */
function asCoreReads(der: Buffer<ArrayBuffer>) {
  const x509 = X509Certificate.parse(der);
  const [der8, bare] = ISSUERS.map((oid) => x509.extension(oid));
  const key = createPublicKey({ key: x509.publicKey, format: "der", type: "spki" });
  return {
    // Read and written again: there are several ways to write a point of a curve.
    spki: spkiOf(key),
    kind: key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType,
    signer: x509.subjectAltName ?? "",
    issuer: (der8?.valueObj.subs[0]?.value ?? bare?.value ?? "").toString(),
    isForSigning: x509.extKeyUsage?.digitalSignature !== false,
    validity: [x509.notBefore.toISOString(), x509.notAfter.toISOString()],
  };
}

function spkiOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "der" }).toString("hex");
}

function asWeRead(der: Buffer<ArrayBuffer>) {
  const { key, ...certificate } = readCertificate(der);
  return { spki: spkiOf(key.object), kind: key.name, ...certificate };
}

describe("a certificate is read as @sigstore/core reads it", () => {
  test.each(names)("of %s", (name) => {
    expect(asWeRead(certificateIn(name))).toEqual(asCoreReads(certificateIn(name)));
  });

  // Some turned bits leave a certificate that is good to read, as other names, times or bytes of its signature are.
  test.each(names)("of %s, with any byte turned: or it is refused", (name) => {
    const der = certificateIn(name);
    let read = 0;
    for (let at = 0; at < der.length; at++) {
      for (const mask of [0x01, 0x80]) {
        const turned = Buffer.from(der);
        turned.writeUInt8(turned.readUInt8(at) ^ mask, at);
        const found = attempt(turned);
        if (found === undefined) continue;
        read++;
        const { isForSigning, ...fields } = asCoreReads(turned);
        expect(found).toMatchObject(fields);
        // What core says of the key usages alone; ours looks at the extended ones too.
        expect(isForSigning || !found.isForSigning).toBe(true);
      }
    }
    expect(read).toBeGreaterThan(der.length / 2);
  });
});

function attempt(der: Buffer<ArrayBuffer>) {
  try {
    return asWeRead(der);
  } catch (error) {
    expect(error).toBeInstanceOf(BundleError);
    return undefined;
  }
}

describe("what is no certificate in DER is refused", () => {
  const good = () => certificateIn("happy-path-intoto-in-dsse-v3.json");
  const pem = () =>
    Buffer.from(`-----BEGIN CERTIFICATE-----\n${good().toString("base64")}\n-----END CERTIFICATE-----\n`);
  const lengthOf = (der: Buffer) => der.readUInt16BE(2);
  test.each<[string, () => Buffer<ArrayBuffer>]>([
    ["PEM", pem],
    ["one with a byte after it", () => Buffer.concat([good(), Buffer.from([0])])],
    ["two", () => Buffer.concat([good(), good()])],
    ["one that is cut off", () => good().subarray(0, -1)],
    [
      "its length in more bytes than it needs",
      () => {
        const der = good();
        const head = Buffer.from([0x30, 0x83, 0, 0, 0]);
        head.writeUInt16BE(lengthOf(der), 3);
        return Buffer.concat([head, der.subarray(4)]);
      },
    ],
    ["an indefinite length", () => Buffer.concat([Buffer.from([0x30, 0x80]), good().subarray(4), Buffer.alloc(2)])],
    ["nothing", () => Buffer.alloc(0)],
  ])("%s", (_, der) => {
    expect(() => readCertificate(der())).toThrow(/expected an X\.509 certificate in DER/);
  });
});

test("the first extension of a kind counts, and one that says nothing names nobody", async () => {
  const keys = ecKeys();
  const empty = await leaf(root, keys.publicKey, { issuer: Buffer.from([0x0c, 0x00]), names: [] });
  expect(readCertificate(Buffer.from(empty))).toMatchObject({ signer: "", issuer: "" });
});
