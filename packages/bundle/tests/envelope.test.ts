import { describe, expect, test } from "@jest/globals";
import { parseBundle } from "../src/index.ts";
import { bundleOf, bytesOf, envelopeOf, refusalText, STATEMENT } from "./support.ts";

describe("refused for the envelope", () => {
  const payload = bytesOf(STATEMENT).toString("base64");
  const refusals: [what: string, changes: Record<string, unknown>, text: RegExp][] = [
    ["no payload type", { payloadType: undefined }, /^PAYLOAD_TYPE_UNSUPPORTED: .*vnd\.in-toto\+json", got nothing/],
    ["an empty payload type", { payloadType: "" }, /^PAYLOAD_TYPE_UNSUPPORTED: .*got ""/],
    ["another payload type", { payloadType: "text/plain" }, /^PAYLOAD_TYPE_UNSUPPORTED: .*got "text\/plain"/],
    [
      "the type of a stored envelope",
      { payloadType: "application/vnd.in-toto.spdx+dsse" },
      /^PAYLOAD_TYPE_UNSUPPORTED/,
    ],
    ["an empty predicate", { payloadType: "application/vnd.in-toto.+json" }, /^PAYLOAD_TYPE_UNSUPPORTED/],
    ["a type with a line end", { payloadType: "application/vnd.in-toto+json\n" }, /^PAYLOAD_TYPE_UNSUPPORTED/],
    ["a very long type", { payloadType: "x".repeat(1e6) }, /^PAYLOAD_TYPE_UNSUPPORTED: .{0,250}$/],
    [
      "a type that is no text",
      { payloadType: 1 },
      /^BUNDLE_MALFORMED: payloadType: expected a string, got the number 1/,
    ],
    ["a name in another case", { payloadType: undefined, PayloadType: "x" }, /^PAYLOAD_TYPE_UNSUPPORTED/],
    ["no signatures", { signatures: undefined }, /^SIGNATURE_MISSING: signatures: expected one or more, got nothing/],
    ["null signatures", { signatures: null }, /^SIGNATURE_MISSING: .*got null/],
    ["an empty list", { signatures: [] }, /^SIGNATURE_MISSING: .*got an empty array/],
    ["a null signature", { signatures: [null] }, /^SIGNATURE_MISSING: signatures\[0\]/],
    ["a signature without sig", { signatures: [{}] }, /^SIGNATURE_MISSING: signatures\[0\]\.sig: .*got nothing/],
    ["a null sig", { signatures: [{ sig: null }] }, /^SIGNATURE_MISSING: signatures\[0\]\.sig: .*got null/],
    ["an empty sig", { signatures: [{ sig: "" }] }, /^SIGNATURE_MISSING: signatures\[0\]\.sig: .*got ""/],
    ["an empty sig after a good one", { signatures: [{ sig: "AAAA" }, { sig: "" }] }, /^SIGNATURE_MISSING: .*\[1\]/],
    ["a name of sig in another case", { signatures: [{ Sig: "AAAA" }] }, /^SIGNATURE_MISSING/],
    [
      "signatures that are no list",
      { signatures: { 0: { sig: "AAAA" } } },
      /^BUNDLE_MALFORMED: .*an array, got an object/,
    ],
    ["a signature that is text", { signatures: ["AAAA"] }, /^BUNDLE_MALFORMED: signatures\[0\]: expected an object/],
    ["a sig that is a number", { signatures: [{ sig: 1 }] }, /^BUNDLE_MALFORMED: .*a string, got the number 1/],
    ["a keyid that is a number", { signatures: [{ sig: "AAAA", keyid: 1 }] }, /^BUNDLE_MALFORMED: .*keyid/],
    [
      "junk in sig",
      { signatures: [{ sig: "AA*A" }] },
      /^BUNDLE_MALFORMED: signatures\[0\]\.sig: not base64 at character 2/,
    ],
    ["a blank sig", { signatures: [{ sig: " " }] }, /^BUNDLE_MALFORMED: .*not base64 at character 0/],
    ["no payload", { payload: undefined }, /^BUNDLE_MALFORMED: payload: expected a statement in base64, got nothing/],
    ["a null payload", { payload: null }, /^BUNDLE_MALFORMED: payload: .*got null/],
    ["a payload that is an object", { payload: STATEMENT }, /^BUNDLE_MALFORMED: payload: .*got an object/],
    ["an empty payload", { payload: "" }, /^STATEMENT_MALFORMED: .*at byte 0, got the end/],
    ["a line end in the payload", { payload: `${payload}\n` }, /^PAYLOAD_NOT_BASE64: .*"\\n" is not in its alphabet/],
    ["a payload in lines", { payload: payload.replace(/.{76}/g, "$&\n") }, /^PAYLOAD_NOT_BASE64: .*character 76/],
    [
      "a payload of 4n + 1",
      { payload: `${payload.replace(/=+$/, "").slice(0, 100)}A` },
      /^PAYLOAD_NOT_BASE64: .*4n \+ 1/,
    ],
    ["a payload of mixed alphabets", { payload: "+_AA" }, /^PAYLOAD_NOT_BASE64: .*character 1/],
    ["a payload in clear", { payload: JSON.stringify(STATEMENT) }, /^PAYLOAD_NOT_BASE64: .*character 0/],
    ["a long payload with junk at its end", { payload: `${"A".repeat(4e6)}*` }, /^PAYLOAD_NOT_BASE64: .*4000000/],
  ];
  test.each(refusals)("%s", (_, changes, text) => {
    const envelope = envelopeOf(STATEMENT, changes);
    expect(refusalText(() => parseBundle(bytesOf(envelope)))).toMatch(text);
    expect(refusalText(() => parseBundle(bytesOf(bundleOf({ dsseEnvelope: envelope }))))).toMatch(text);
  });
});
