import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { bundleOfSize, fixture } from "./fixtures.ts";
import { Databases, refusal } from "./refusals.ts";

let attestry: Constellation;
let clients: Clients;
let databases: Databases;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
  clients = clientsOf(attestry, attestry.adminToken);
  databases = new Databases(attestry);
}, 60_000);
afterAll(async () => {
  await databases?.end();
  await attestry?.stop();
});

function changed(bundle: Buffer, change: (parsed: { dsseEnvelope: Record<string, unknown> }) => void): Buffer {
  const parsed = JSON.parse(bundle.toString());
  change(parsed);
  return Buffer.from(JSON.stringify(parsed));
}

const good = fixture("C16-v01-no-checkpoint.json");
const statement = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64");

const badBundles: [what: string, bundle: () => Buffer, code: string, reason: string, says: RegExp][] = [
  ["an empty body", () => Buffer.alloc(0), "InvalidArgument", "BUNDLE_EMPTY", /nothing/],
  ["blanks", () => Buffer.from(" \n\t"), "InvalidArgument", "BUNDLE_EMPTY", /white space|blank|nothing/],
  ["not JSON", () => Buffer.from("no json"), "InvalidArgument", "BUNDLE_NOT_JSON", /JSON/],
  ["JSON that is no bundle", () => Buffer.from('{"a":1}'), "InvalidArgument", "BUNDLE_MALFORMED", /mediaType|bundle/],
  ["a list", () => Buffer.from("[]"), "InvalidArgument", "BUNDLE_MALFORMED", /object|list|array/],
  ["40 MB", () => bundleOfSize(40_000_000), "InvalidArgument", "BUNDLE_TOO_LARGE", /33554432/],
  [
    "a message signature",
    () => fixture("happy-path-v0.3.json"),
    "InvalidArgument",
    "MESSAGE_SIGNATURE",
    /attests nothing/,
  ],
  [
    "a payload that is not base64",
    () => fixture("C10-junk-in-base64.json"),
    "InvalidArgument",
    "PAYLOAD_NOT_BASE64",
    /base64.*\d+|\d+.*base64/,
  ],
  [
    "another envelope before the signed one",
    () => Buffer.from(good.toString().replace("{", '{"dsseEnvelope":{"payload":"e30="},')),
    "InvalidArgument",
    "BUNDLE_MALFORMED",
    /each name of an object once, got "dsseEnvelope" again at byte \d+/,
  ],
  [
    "a payload of 4n+1 characters",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payload: "eyJhb" })),
    "InvalidArgument",
    "PAYLOAD_NOT_BASE64",
    /base64/,
  ],
  [
    "another payload type",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payloadType: "text/plain" })),
    "InvalidArgument",
    "PAYLOAD_TYPE_UNSUPPORTED",
    /text\/plain/,
  ],
  [
    "a statement without subjects",
    () =>
      changed(good, ({ dsseEnvelope }) =>
        Object.assign(dsseEnvelope, {
          payload: statement({ _type: "https://in-toto.io/Statement/v1", subject: [], predicateType: "x" }),
        }),
      ),
    "InvalidArgument",
    "SUBJECT_MISSING",
    /subject/,
  ],
  [
    "a payload that is no statement",
    () => changed(good, ({ dsseEnvelope }) => Object.assign(dsseEnvelope, { payload: statement({ hello: 1 }) })),
    "InvalidArgument",
    "STATEMENT_MALFORMED",
    /_type/,
  ],
  ["no signature (C08)", () => fixture("C08-no-signature.json"), "InvalidArgument", "SIGNATURE_MISSING", /signature/],
  ["Snappy (C14)", () => fixture("C14-snappy.json.sn"), "InvalidArgument", "BUNDLE_COMPRESSED", /compressed/],
  ["gzip (C14)", () => gzipSync(good), "InvalidArgument", "BUNDLE_COMPRESSED", /compressed/],
  [
    "an entry of a list without its bundle (C14)",
    () => Buffer.from('{"bundle":null,"bundle_url":"https://example.test/x.json.sn"}'),
    "InvalidArgument",
    "BUNDLE_WITHOUT_CONTENT",
    /an entry of an attestation list, without its bundle/,
  ],
  [
    "UTF-16 (C13)",
    () => Buffer.from(`\ufeff${good.toString()}`, "utf16le"),
    "InvalidArgument",
    "BUNDLE_NOT_UTF8",
    /UTF-8/,
  ],
];

describe("Store of what is no attestation", () => {
  test.each(badBundles)(
    "%s",
    async (_what, bundle, code, reason, says) => {
      const runId = await startRun(clients);
      const before = await databases.everything();
      const refused = await refusal(clients.attestations.store({ runId, bundle: bundle() }));
      expect(refused).toMatchObject({ code, reason, retry: false });
      expect(refused.message).toMatch(says);
      expect(await databases.everything()).toEqual(before);
    },
    20_000,
  );

  test("is refused alike over HTTP with JSON", async () => {
    const runId = await startRun(clients);
    const response = await fetch(`${attestry.ingestUrl}/attestry.ingest.v1.AttestationService/Store`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${attestry.adminToken}` },
      body: JSON.stringify({ runId, bundle: "e30=" }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: "invalid_argument",
      details: [{ debug: { reason: "BUNDLE_MALFORMED" } }],
    });
  });
});
