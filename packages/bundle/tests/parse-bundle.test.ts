import { describe, expect, test } from "@jest/globals";
import { type ParsedBundle, parseBundle, subjectDigests } from "../src/index.ts";
import { bundleOf, bytesOf, envelopeOf, fixture, type Refusal, refusalOf, refusalText, STATEMENT } from "./support.ts";

const SPELLINGS = ["0.1", "0.2", "0.3"].flatMap((version) => [
  `application/vnd.dev.sigstore.bundle+json;version=${version}`,
  `application/vnd.dev.sigstore.bundle.v${version}+json`,
]);

describe("fixtures that are attestations", () => {
  test.each<[string, string, string, string[]]>([
    [
      "chainloop-cli-63k.json",
      "chainloop.dev/attestation/v0.2",
      SPELLINGS[4] ?? "",
      ["sha256:a73cb5182939d3dafb25a886ba20f9e17614e5b5edf3337361fdac737db2a696"],
    ],
    [
      "chainloop-v0.3.json",
      "chainloop.dev/attestation/v0.2",
      SPELLINGS[4] ?? "",
      [
        "sha256:d83225bda1a3b5bcb1662acd7e1fe01e2c825e211ea6ea03b4f6f3ad6e656443",
        "sha1:25f40d9f4b911969c901377eb247f934dde21b9f",
      ],
    ],
    [
      "happy-path-intoto-in-dsse-v3.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf"],
    ],
    [
      "intoto-with-custom-trust-root.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[2] ?? "",
      ["sha256:330a043220fa13e01d68a7db39c89e12b0c4c3b6a0346fe624b0903f1303b5b2"],
    ],
    [
      "C02-string-predicate.json",
      "https://spdx.dev/Document",
      SPELLINGS[5] ?? "",
      ["sha256:ecf27b18a93ad82008527153a0e848ba321d6d6ae0d24f4ad742a5fca136551e"],
    ],
    [
      "C04-git-commit.json",
      "https://slsa.dev/verification_summary/v1",
      SPELLINGS[5] ?? "",
      ["gitCommit:937702a2a5792a87248748194868818f34ecbcce"],
    ],
    [
      "C05-same-subject-twice.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:13e5aff5d6f9d935e5c0928ce7e768ca140531e6a954fa0b26d1b937bcaea91f"],
    ],
    [
      "C11-newline-at-end.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:ad03cbc724a83c610aaae101492f23f45d476fe0e29c427aba4a7cc6b3f2fd72"],
    ],
    [
      "C13-byte-order-mark.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:cede23132662f43d164b0293c7d37a268b230ab096703dd01d7efcb29783529a"],
    ],
    [
      "C16-v01-no-checkpoint.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[0] ?? "",
      ["sha256:7f60a60eb1c54483a595fd0d3a6d23ce9c165413a051090f65b1c3a6b35e0898"],
    ],
    [
      "C19-two-spellings.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:d11d0eccc4a092eae71e57b1b84cfeb565475421f3716d21dfa24aa19d1e2089"],
    ],
    // Whether a signature is good is for a verifier to say; these two are read like any other.
    [
      "dsse-invalid-sig_fail.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[5] ?? "",
      ["sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf"],
    ],
    [
      "intoto-expired-certificate_fail.json",
      "https://slsa.dev/provenance/v1",
      SPELLINGS[2] ?? "",
      ["sha256:330a043220fa13e01d68a7db39c89e12b0c4c3b6a0346fe624b0903f1303b5b2"],
    ],
  ])("%s", (name, predicateType, mediaType, digests) => {
    const bytes = fixture(name);
    const before = Buffer.from(bytes);
    const bundle = parseBundle(bytes);
    expect(bundle.mediaType).toBe(mediaType);
    expect(bundle.statement.predicateType).toBe(predicateType);
    expect(subjectDigests(bundle.statement).slice(0, 2)).toEqual(digests);
    const json = JSON.parse(bytes.toString().replace(/^\ufeff/, ""));
    expect(bundle.verificationMaterial).toEqual(json.verificationMaterial);
    const payload = Buffer.from(json.dsseEnvelope.payload, "base64");
    expect(bundle.envelope).toEqual({
      payloadType: "application/vnd.in-toto+json",
      payload,
      signed: Buffer.concat([Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `), payload]),
      signatures: [{ sig: Buffer.from(json.dsseEnvelope.signatures[0].sig, "base64"), keyid: "" }],
    });
    expect(bytes.equals(before)).toBe(true);
  });

  test("a signature that was encoded twice stays encoded once", () => {
    const sig = parseBundle(fixture("chainloop-v0.3.json")).envelope.signatures[0]?.sig.toString();
    expect(sig).toMatch(/^MEUC|^MEQC|^MEY/);
  });
});

describe("fixtures that are none", () => {
  test.each<[string, RegExp]>([
    ["happy-path-v0.3.json", /^MESSAGE_SIGNATURE: .*dsseEnvelope.*messageSignature/],
    ["C08-no-signature.json", /^SIGNATURE_MISSING: signatures: expected one or more, got an empty array/],
    ["C10-junk-in-base64.json", /^PAYLOAD_NOT_BASE64: payload: not base64 at character \d+ .*"\*"/],
    ["C14-snappy.json.sn", /^BUNDLE_COMPRESSED: bundle is compressed: .*Snappy/],
  ])("%s", (name, text) => {
    expect(refusalText(() => parseBundle(fixture(name)))).toMatch(text);
  });

  test("C10: the offset is that of the first bad character", () => {
    const { payload } = JSON.parse(fixture("C10-junk-in-base64.json").toString()).dsseEnvelope;
    const error = refusalOf(() => parseBundle(fixture("C10-junk-in-base64.json")));
    expect(error.metadata.offset).toBe(String(payload.indexOf("*")));
  });
});

describe("accepted", () => {
  const plain = parseBundle(bytesOf(bundleOf()));

  function same(bundle: ParsedBundle): void {
    expect(bundle.statement).toEqual(plain.statement);
    expect(bundle.envelope).toEqual(plain.envelope);
  }

  test.each(SPELLINGS)("%s", (mediaType) => {
    expect(parseBundle(bytesOf(bundleOf({ mediaType })))).toEqual({ ...plain, mediaType });
  });

  test("a bare envelope", () => {
    const bundle = parseBundle(bytesOf(envelopeOf()));
    same(bundle);
    expect(bundle).toMatchObject({ mediaType: "", verificationMaterial: null });
  });

  const { mediaType, verificationMaterial, dsseEnvelope } = bundleOf();
  test.each<[string, unknown]>([
    ["the proto's own names", { media_type: mediaType, verification_material: {}, dsse_envelope: dsseEnvelope }],
    ["null for what is unset", bundleOf({ messageSignature: null, dsse_envelope: null, message_signature: null })],
    ["no verification material", { mediaType, dsseEnvelope }],
    ["unknown fields", bundleOf({ DsseEnvelope: 1, MediaType: 2, dsseenvelope: null, extra: [[]] })],
    ["a certificate chain in v0.3", bundleOf({ verificationMaterial: { x509CertificateChain: { certificates: [] } } })],
    ["line ends after", `${JSON.stringify(bundleOf())}\r\n\r\n`],
    ["blanks before", ` \t\r\n${JSON.stringify(bundleOf())}`],
    ["a byte order mark", `\ufeff${JSON.stringify(bundleOf())}`],
    ["a byte order mark and a blank", `\ufeff  ${JSON.stringify(bundleOf())}`],
    ["indentation", JSON.stringify(bundleOf(), null, "\t")],
    ["escapes in names", JSON.stringify(bundleOf()).replace("dsseEnvelope", "dsse\\u0045nvelope")],
    ["__proto__ as a field", `{"__proto__":{"mediaType":7},${JSON.stringify(bundleOf()).slice(1)}`],
    ["constructor as a field", bundleOf({ constructor: { prototype: 1 }, toString: 1, hasOwnProperty: null })],
  ])("%s", (_, input) => {
    same(parseBundle(bytesOf(input)));
    expect(Object.hasOwn(Object.prototype, "mediaType")).toBe(false);
  });

  test("bare base64 and the URL-safe alphabet", () => {
    const statement = { ...STATEMENT, predicate: "\u00ff\u00fe??>>~~" };
    const payload = Buffer.from(JSON.stringify(statement)).toString("base64url");
    const envelope = envelopeOf(statement, { payload, signatures: [{ sig: "_-8", keyid: "key" }] });
    const bundle = parseBundle(bytesOf(envelope));
    expect(JSON.parse(bundle.envelope.payload.toString())).toEqual(statement);
    expect(bundle.envelope.signatures).toEqual([{ sig: Buffer.from([0xff, 0xef]), keyid: "key" }]);
  });

  test("several signatures, in their order", () => {
    const signatures = [{ sig: "AAAA", keyid: "a" }, { sig: "AQ==", keyid: null }, { sig: "Ag" }];
    const { envelope } = parseBundle(bytesOf(envelopeOf(STATEMENT, { signatures })));
    expect(envelope.signatures.map(({ sig, keyid }) => [sig.toString("hex"), keyid])).toEqual([
      ["000000", "a"],
      ["01", ""],
      ["02", ""],
    ]);
  });

  test.each(["application/vnd.in-toto+json", "application/vnd.in-toto.provenance+json"])("payload type %s", (type) => {
    expect(parseBundle(bytesOf(envelopeOf(STATEMENT, { payloadType: type }))).envelope.payloadType).toBe(type);
  });

  test("verification material as deep as the limit", () => {
    const deep = `${'{"a":'.repeat(999)}0${"}".repeat(999)}`;
    const text = JSON.stringify(bundleOf({ verificationMaterial: {} })).replace('Material":{}', `Material":${deep}`);
    same(parseBundle(bytesOf(text)));
  });

  test("a view into a larger buffer", () => {
    const bytes = bytesOf(bundleOf());
    const whole = Buffer.concat([Buffer.from("[["), bytes, Buffer.from("]]")]);
    same(parseBundle(new Uint8Array(whole.buffer, whole.byteOffset + 2, bytes.length)));
    expect(verificationMaterial).toEqual({ certificate: {} });
  });
});

describe("refused for their form", () => {
  const { dsseEnvelope, ...hollow } = bundleOf();
  const refusals: Refusal[] = [
    ["null", "null", "BUNDLE_MALFORMED", /a JSON object, got null/],
    ["a number", "17", "BUNDLE_MALFORMED", /got the number 17/],
    ["a boolean", "true", "BUNDLE_MALFORMED", /got the boolean true/],
    ["a string", '"x"', "BUNDLE_MALFORMED", /got a string of length 1/],
    ["an empty array", [], "BUNDLE_MALFORMED", /got an empty array; store each bundle by itself/],
    ["an array of bundles", [bundleOf()], "BUNDLE_MALFORMED", /got an array; store each bundle by itself/],
    ["an empty object", {}, "BUNDLE_MALFORMED", /got an empty object/],
    ["some object", { name: "x" }, "BUNDLE_MALFORMED", /a Sigstore bundle or a DSSE envelope, got an object/],
    ["a bare statement", STATEMENT, "BUNDLE_MALFORMED", /which nobody signed/],
    ["names in other case", { DsseEnvelope: dsseEnvelope, MediaType: "" }, "BUNDLE_MALFORMED", /none of their fields/],
    ["no media type", { dsseEnvelope }, "BUNDLE_MALFORMED", /mediaType: expected .*v0\.3\+json.*got nothing/],
    ["a media type that is no text", bundleOf({ mediaType: 3 }), "BUNDLE_MALFORMED", /got the number 3/],
    ["an empty media type", bundleOf({ mediaType: "" }), "BUNDLE_MALFORMED", /got ""/],
    [
      "v0.4",
      bundleOf({ mediaType: "application/vnd.dev.sigstore.bundle.v0.4+json" }),
      "BUNDLE_MALFORMED",
      /v0\.4\+json"/,
    ],
    [
      "version 0.4, older spelling",
      bundleOf({ mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.4" }),
      "BUNDLE_MALFORMED",
      /version=0\.4"/,
    ],
    ["another media type", bundleOf({ mediaType: "application/json" }), "BUNDLE_MALFORMED", /mediaType: expected/],
    ["a media type in capitals", bundleOf({ mediaType: SPELLINGS[5]?.toUpperCase() }), "BUNDLE_MALFORMED", /mediaType/],
    ["both contents", bundleOf({ messageSignature: {} }), "BUNDLE_MALFORMED", /dsseEnvelope and messageSignature both/],
    ["both contents, proto names", bundleOf({ message_signature: {} }), "BUNDLE_MALFORMED", /both/],
    ["one field by two names", bundleOf({ dsse_envelope: dsseEnvelope }), "BUNDLE_MALFORMED", /and dsse_envelope/],
    ["material that is no object", bundleOf({ verificationMaterial: [] }), "BUNDLE_MALFORMED", /verificationMaterial/],
    [
      "an envelope that is no object",
      bundleOf({ dsseEnvelope: "x" }),
      "BUNDLE_MALFORMED",
      /an object, got a string of length 1/,
    ],
    ["a message signature", { ...hollow, messageSignature: {} }, "MESSAGE_SIGNATURE", /attests nothing/],
    ["a message signature, proto name", { ...hollow, message_signature: {} }, "MESSAGE_SIGNATURE", /attests nothing/],
    ["no content", hollow, "BUNDLE_WITHOUT_CONTENT", /neither dsseEnvelope nor messageSignature/],
    ["null content", bundleOf({ dsseEnvelope: null }), "BUNDLE_WITHOUT_CONTENT", /neither/],
    [
      "an entry of a list, without its bundle",
      { bundle: null, bundle_url: "https://example.test/x.json.sn" },
      "BUNDLE_WITHOUT_CONTENT",
      /an entry of an attestation list, without its bundle; links are not followed/,
    ],
    ["an entry without the field", { bundle_url: "https://example.test/" }, "BUNDLE_WITHOUT_CONTENT", /an entry of/],
    ["an entry without a link", { bundle: null, repository_id: 1 }, "BUNDLE_WITHOUT_CONTENT", /without its bundle/],
    ["an entry with its bundle", { bundle: bundleOf() }, "BUNDLE_MALFORMED", /store what its field bundle holds/],
    ["a list of entries", { attestations: [{ bundle: null }] }, "BUNDLE_MALFORMED", /an attestation list; store each/],
    [
      "a bracket a thousand times",
      `{"a":${"[".repeat(200_000)}`,
      "BUNDLE_TOO_COMPLEX",
      /nested deeper than 1000 levels/,
    ],
    ["deep, whole", `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, "BUNDLE_TOO_COMPLEX", /nested deeper/],
    ["wide", `[${"[],".repeat(1_000_001)}0]`, "BUNDLE_TOO_COMPLEX", /more than 1000000 objects and arrays/],
  ];
  test.each(refusals)("%s", (_, input, code, message) => {
    const error = refusalOf(() => parseBundle(bytesOf(input)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.message.length).toBeLessThan(400);
  });
});
