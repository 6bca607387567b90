import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { AttestationService } from "@attestry/api/ingest";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, refusal, type TestIngest } from "./harness.ts";

const fixtures = new URL("../../../packages/bundle/tests/fixtures/", import.meta.url);

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());

const text = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

function envelope(change: object): Buffer {
  return text({ ...(JSON.parse(bundleOf().toString()) as object), ...change });
}

function statement(change: object): Buffer {
  const whole = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [],
    predicateType: "https://x.test/y",
    predicate: {},
  };
  return envelope({ payload: Buffer.from(JSON.stringify({ ...whole, ...change })).toString("base64") });
}

function signedBy(count: number): Buffer {
  return envelope({ signatures: Array.from({ length: count }, () => ({ sig: "c2lnbmF0dXJl" })) });
}

function nested(depth: number): unknown {
  return JSON.parse("[".repeat(depth) + "]".repeat(depth));
}

const bundles: [string, () => Buffer, string][] = [
  ["an empty body", () => Buffer.alloc(0), "BUNDLE_EMPTY"],
  ["blanks", () => text("  \n"), "BUNDLE_EMPTY"],
  ["not JSON", () => text("hello"), "BUNDLE_NOT_JSON"],
  ["UTF-16", () => Buffer.from(bundleOf().toString(), "utf16le"), "BUNDLE_NOT_UTF8"],
  ["gzip", () => gzipSync(bundleOf()), "BUNDLE_COMPRESSED"],
  ["JSON that is no bundle", () => text({ hello: 1 }), "BUNDLE_MALFORMED"],
  ["an array", () => text([]), "BUNDLE_MALFORMED"],
  [
    "an entry of a list without its bundle",
    () => text({ bundle: null, bundle_url: "https://example.test/x" }),
    "BUNDLE_WITHOUT_CONTENT",
  ],
  ["40 MB", () => bundleOf({ pad: 40_000_000 }), "BUNDLE_TOO_LARGE"],
  [
    "a message signature",
    () => text({ mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", messageSignature: {} }),
    "MESSAGE_SIGNATURE",
  ],
  ["a payload that is not base64", () => envelope({ payload: "*!" }), "PAYLOAD_NOT_BASE64"],
  ["a payload type that is not in-toto", () => envelope({ payloadType: "text/plain" }), "PAYLOAD_TYPE_UNSUPPORTED"],
  ["no signature", () => envelope({ signatures: [] }), "SIGNATURE_MISSING"],
  ["more signatures than there may be", () => signedBy(101), "BUNDLE_TOO_COMPLEX"],
  ["a statement nested too deeply", () => statement({ subject: [{}], predicate: nested(1_001) }), "BUNDLE_TOO_COMPLEX"],
  ["no subjects", () => statement({}), "SUBJECT_MISSING"],
  ["no statement", () => envelope({ payload: Buffer.from("[]").toString("base64") }), "STATEMENT_MALFORMED"],
];

describe("Store refuses, and leaves the database as it was", () => {
  test.each(bundles)("%s", async (_name, bundle, reason) => {
    const runId = ingest.run.begin(ingest.organizationId);
    const before = await ingest.snapshot();
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundle() }))).toBe(reason);
    expect(await ingest.snapshot()).toEqual(before);
    expect(ingest.run.runs.get(runId)?.state).toBe("initialized");
  });

  const runs: [string, () => string, string][] = [
    ["a malformed run id", () => "not-a-uuid", "RUN_ID_INVALID"],
    ["no run id", () => "", "RUN_ID_INVALID"],
    ["an unknown run", () => randomUUID(), "RUN_NOT_FOUND"],
    ["a run of another organization", () => ingest.run.begin(randomUUID()), "RUN_NOT_FOUND"],
    ["a cancelled run", () => ingest.run.begin(ingest.organizationId, "cancelled"), "RUN_CANCELLED"],
    ["a failed run", () => ingest.run.begin(ingest.organizationId, "error"), "RUN_FAILED"],
    ["an expired run", () => ingest.run.begin(ingest.organizationId, "expired"), "RUN_EXPIRED"],
  ];
  test.each(runs)("%s", async (_name, runId, reason) => {
    const before = await ingest.snapshot();
    expect(await refusal(ingest.attestations.store({ runId: runId(), bundle: bundleOf() }))).toBe(reason);
    expect(await ingest.snapshot()).toEqual(before);
  });

  test("a reader", async () => {
    const reader = createClient(AttestationService, await ingest.as("reader"));
    const runId = ingest.run.begin(ingest.organizationId);
    expect(await refusal(reader.store({ runId, bundle: bundleOf() }))).toBe("ROLE_INSUFFICIENT");
  });
});

test("limits are what the settings say", async () => {
  const config = { maxSignatures: 2, maxSubjects: 3, maxTextCharacters: 512, maxJsonDepth: 20 };
  const strict = await createTestIngest(config);
  const subjects = (count: number, name = "") =>
    bundleOf({ subjects: Array.from({ length: count }, () => ({ name, digest: { sha256: "a".repeat(64) } })) });
  const stored = (bundle: Buffer) =>
    refusal(strict.attestations.store({ runId: strict.run.begin(strict.organizationId), bundle }));
  try {
    for (const good of [signedBy(2), subjects(3), subjects(1, "n".repeat(512))])
      expect(await stored(good)).toBeUndefined();
    const deep = statement({ subject: [{}], predicate: nested(20) });
    for (const bad of [signedBy(3), subjects(4), subjects(1, "n".repeat(513)), deep])
      expect(await stored(bad)).toBe("BUNDLE_TOO_COMPLEX");
  } finally {
    await strict.destroy();
  }
});

describe("reads refuse", () => {
  const hex = "A".repeat(64);
  const digests = [`sha256:${hex}`, "sha256:abc", hex.toLowerCase(), "", "sha512:abc"];
  test.each(digests)("the digest %p", async (value) => {
    expect(await refusal(ingest.attestations.get({ by: { case: "digest", value } }))).toBe("DIGEST_INVALID");
  });
  test("nothing asked for", async () => {
    expect(await refusal(ingest.attestations.get({}))).toBe("REQUEST_INVALID");
  });
  test("a malformed run id", async () => {
    expect(await refusal(ingest.attestations.get({ by: { case: "runId", value: "x" } }))).toBe("RUN_ID_INVALID");
  });
  test("garbage as page cursor, wrong page sizes, a workflow without its project, a subject without an algorithm", async () => {
    const { attestations, uploads } = ingest;
    expect(await refusal(attestations.list({ pageToken: "garbage" }))).toBe("PAGE_TOKEN_INVALID");
    expect(await refusal(uploads.list({ pageToken: "garbage" }))).toBe("PAGE_TOKEN_INVALID");
    expect(await refusal(attestations.list({ pageSize: 201 }))).toBe("PAGE_SIZE_INVALID");
    expect(await refusal(attestations.list({ pageSize: -1 }))).toBe("PAGE_SIZE_INVALID");
    expect(await refusal(attestations.list({ workflow: "release" }))).toBe("REQUEST_INVALID");
    expect(await refusal(attestations.list({ subjectDigest: "abc" }))).toBe("DIGEST_INVALID");
    expect(await refusal(uploads.list({ state: 1 }))).toBe("REQUEST_INVALID");
  });
});

// All others are kept, at the mode signature.
const refused: Record<string, string> = {
  "C08-no-signature.json": "SIGNATURE_MISSING",
  "C10-junk-in-base64.json": "PAYLOAD_NOT_BASE64",
  "C14-snappy.json.sn": "BUNDLE_COMPRESSED",
  "dsse-invalid-sig_fail.json": "SIGNATURE_INVALID",
  "happy-path-v0.3.json": "MESSAGE_SIGNATURE",
};

/** Beside them lie what some are trusted by. */
function isBundle(file: string): boolean {
  return /\.(json|sn)$/.test(file) && !file.endsWith("trusted_root.json");
}

describe("bundles from the field", () => {
  test.each(readdirSync(fixtures).filter(isBundle))("%s", async (name) => {
    const bundle = readFileSync(new URL(name, fixtures));
    const runId = ingest.run.begin(ingest.organizationId);
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe(refused[name]);
    if (refused[name] !== undefined) return;
    const read = await ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    expect(read.attestation?.digest).toBe(digestOf(bundle));
  });
});
