import { readFileSync } from "node:fs";
import { NotCheckedReason, VerificationStatus } from "@attestry/api/ingest";
import { VerificationMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { bundleOf, createTestIngest, refusal, type TestIngest } from "./harness.ts";

const fixtures = new URL("../../../packages/bundle/tests/fixtures/", import.meta.url);
const fixture = (name: string) => readFileSync(new URL(name, fixtures));
const text = (name: string) => readFileSync(new URL(name, fixtures), "utf8");

const { OFF, SIGNATURE, TRUSTED } = VerificationMode;
const { VERIFIED, NOT_CHECKED } = VerificationStatus;

// The certificate of chainloop-cli-63k lives from 23:10:02 to 23:20:02. All ids that this file makes come after this time.
const received = Date.parse("2026-11-23T23:15:00Z");
jest.useFakeTimers({
  now: received,
  doNotFake: [
    ...(["performance", "hrtime", "nextTick", "queueMicrotask", "setImmediate", "clearImmediate"] as const),
    ...(["setTimeout", "clearTimeout", "setInterval", "clearInterval"] as const),
  ],
});

let ingest: TestIngest;
beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
beforeEach(() => {
  ingest.run.verificationMode = SIGNATURE;
});
afterEach(() => {
  ingest.run.beforePlan = () => undefined;
  ingest.run.beforeTrust = () => undefined;
});

const chainloopCa = { certificateAuthorities: [text("chainloop-cli-63k.ca.pem")] };
const customRoot = {
  trustedRoots: [text("intoto-with-custom-trust-root.trusted_root.json")],
  transparencyLogThreshold: 1,
  timestampThreshold: 1,
};

const ownRootOfExpired = { ...customRoot, trustedRoots: [text("intoto-expired-certificate_fail.trusted_root.json")] };
const publicGood = {
  ...customRoot,
  trustedRoots: [text("sigstore-public-good.trusted_root.json")],
  timestampThreshold: 0,
};

type Policy =
  | { certificateAuthorities: string[] }
  | typeof customRoot
  | { signers: { subject: string; issuer: string }[] };

/** The policy becomes the organization's next revision, since those before it never change; returns which it is. */
function trust(policy: Policy): number {
  const policies = ingest.run.trust.get(ingest.organizationId) ?? [];
  ingest.run.trust.set(ingest.organizationId, policies);
  return policies.push(policy);
}

/** Stores it for a new run. What was refused must leave nothing, and the run as it was. */
async function store(bundle: Buffer, over = ingest) {
  const runId = over.run.begin(over.organizationId);
  const before = await rowsIn(over);
  const refused = await refusal(over.attestations.store({ runId, bundle }));
  if (refused === undefined) return { runId };
  expect(await rowsIn(over)).toEqual(before);
  expect(over.run.runs.get(runId)).toMatchObject({ state: "initialized", digest: "" });
  return { runId, refused };
}

async function rowsIn({ database }: TestIngest) {
  const tables = ["attestation", "attestation_subject", "upload", "intent", "audit_event"];
  const counts = tables.map((table) => `(select count(*) from ${table}) as ${table}`);
  return (await database.query(`select ${counts.join(", ")}`)).rows;
}

async function verificationOf(runId: string) {
  const { attestation } = await ingest.attestations.get({ by: { case: "runId", value: runId } });
  const listed = (await ingest.attestations.list({ pageSize: 1 })).attestations[0];
  expect(listed?.runId).toBe(runId);
  expect(listed?.verification).toEqual(attestation?.verification);
  expect(attestation?.verification?.receivedAt).toEqual(attestation?.receivedAt);
  return attestation?.verification;
}

// What each mode answers: undefined is OK. `trusted` by the policy that is named.
const table: [name: string, policy: Policy, at: Partial<Record<VerificationMode, string>>][] = [
  ["chainloop-cli-63k.json", chainloopCa, {}],
  ["chainloop-cli-63k.json", customRoot, { [TRUSTED]: "TRANSPARENCY_LOG_THRESHOLD" }],
  ["chainloop-v0.3.json", chainloopCa, { [TRUSTED]: "SIGNER_UNTRUSTED" }],
  ["intoto-with-custom-trust-root.json", customRoot, {}],
  ["intoto-with-custom-trust-root.json", chainloopCa, { [TRUSTED]: "SIGNER_UNTRUSTED" }],
  ["happy-path-intoto-in-dsse-v3.json", customRoot, { [TRUSTED]: "TRANSPARENCY_LOG_THRESHOLD" }],
  ["happy-path-intoto-in-dsse-v3.json", publicGood, {}],
  ["intoto-expired-certificate_fail.json", ownRootOfExpired, { [TRUSTED]: "SIGNER_UNTRUSTED" }],
  [
    "dsse-invalid-sig_fail.json",
    customRoot,
    { [SIGNATURE]: "SIGNATURE_INVALID", [TRUSTED]: "TRANSPARENCY_LOG_THRESHOLD" },
  ],
  ["C02-string-predicate.json", chainloopCa, { [TRUSTED]: "SIGNER_UNTRUSTED" }],
  ["C11-newline-at-end.json", chainloopCa, { [TRUSTED]: "SIGNER_UNTRUSTED" }],
  ["C16-v01-no-checkpoint.json", customRoot, { [TRUSTED]: "TRANSPARENCY_LOG_THRESHOLD" }],
];
const everywhere = (reason: string) => ({ [OFF]: reason, [SIGNATURE]: reason, [TRUSTED]: reason });
const never: typeof table = [
  ["happy-path-v0.3.json", customRoot, everywhere("MESSAGE_SIGNATURE")],
  ["C08-no-signature.json", chainloopCa, everywhere("SIGNATURE_MISSING")],
  ["C10-junk-in-base64.json", chainloopCa, everywhere("PAYLOAD_NOT_BASE64")],
];

describe.each([
  ["off", OFF],
  ["signature", SIGNATURE],
  ["trusted", TRUSTED],
] as const)("at %s", (word, mode) => {
  test.each([...table, ...never])("%s", async (name, policy, at) => {
    ingest.run.verificationMode = mode;
    const revision = trust(policy);
    const { runId, refused } = await store(fixture(name));
    expect(refused).toBe(at[mode]);
    if (refused !== undefined) return;
    const verification = await verificationOf(runId);
    expect(verification).toMatchObject(
      mode === OFF
        ? { status: NOT_CHECKED, reason: NotCheckedReason.OFF, mode, signer: "", issuer: "", trustRevision: 0 }
        : { status: VERIFIED, reason: 0, mode, trustRevision: mode === TRUSTED ? revision : 0 },
    );
    expect(await ingest.metric("attestry_ingest_verifications_total", { mode: word })).toBeGreaterThan(0);
  });
});

describe("what is kept", () => {
  test("of a bundle without a key: not checked, and why; at trusted it is refused", async () => {
    const { runId } = await store(bundleOf());
    expect(await verificationOf(runId)).toMatchObject({
      ...{ status: NOT_CHECKED, reason: NotCheckedReason.NO_KEY, mode: SIGNATURE },
      ...{ signer: "", issuer: "", trustRevision: 0 },
    });
    ingest.run.verificationMode = TRUSTED;
    trust(chainloopCa);
    expect((await store(bundleOf())).refused).toBe("SIGNER_UNTRUSTED");
  });

  test("who signed, by whose word, and when a log took it in", async () => {
    ingest.run.verificationMode = TRUSTED;
    const trustRevision = trust(customRoot);
    const { runId } = await store(fixture("intoto-with-custom-trust-root.json"));
    const verification = await verificationOf(runId);
    expect(verification).toMatchObject({
      ...{ status: VERIFIED, mode: TRUSTED, trustRevision },
      signer: expect.stringContaining(
        "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/",
      ),
      issuer: "https://token.actions.githubusercontent.com",
    });
    const integratedAt = verification?.integratedAt && timestampDate(verification.integratedAt);
    expect(integratedAt?.toISOString()).toMatch(/^2023-02-01T00:0/);
  });

  test("of a row that was stored before there was verification", async () => {
    const { runId } = await store(bundleOf());
    await ingest.database.query(
      `update attestation set verification_mode = null, verification_result = null where run_id = $1`,
      [runId],
    );
    expect(await verificationOf(runId)).toMatchObject({
      ...{ status: NOT_CHECKED, reason: NotCheckedReason.STORED_BEFORE, mode: 0, signer: "", issuer: "" },
    });
  });

  test.each([
    "verification_result = 'verified', verification_mode = 'signature', signer = null, issuer = ''",
    "verification_result = 'verified', verification_mode = 'off', signer = '', issuer = ''",
    "verification_result = 'verified', verification_mode = 'trusted', signer = '', issuer = ''",
    "verification_result = 'verified', verification_mode = null, signer = '', issuer = ''",
    "verification_result = 'no_key', verification_mode = 'trusted'",
    "verification_result = 'off', verification_mode = 'off', signer = ''",
    "verification_result = null",
    "verification_result = null, verification_mode = null, trust_revision = 1",
  ])("is whole: the database refuses %s", async (change) => {
    const { runId } = await store(bundleOf());
    await expect(ingest.database.query(`update attestation set ${change} where run_id = $1`, [runId])).rejects.toThrow(
      "attestation_verification_check",
    );
  });
});

describe("the organization's settings", () => {
  test("hold from one Store to the next, the mode as well as the trust", async () => {
    const bad = fixture("dsse-invalid-sig_fail.json");
    expect((await store(bad)).refused).toBe("SIGNATURE_INVALID");
    ingest.run.verificationMode = OFF;
    expect((await store(bad)).refused).toBeUndefined();
    ingest.run.verificationMode = SIGNATURE;
    expect((await store(bad)).refused).toBe("SIGNATURE_INVALID");

    const good = fixture("chainloop-cli-63k.json");
    ingest.run.verificationMode = TRUSTED;
    trust(customRoot);
    expect((await store(good)).refused).toBe("TRANSPARENCY_LOG_THRESHOLD");
    const trustRevision = trust(chainloopCa);
    const { runId, refused } = await store(good);
    expect(refused).toBeUndefined();
    expect(await verificationOf(runId)).toMatchObject({ trustRevision });
    trust({ ...chainloopCa, signers: [{ subject: "https://other.example/*", issuer: "" }] });
    expect((await store(good)).refused).toBe("SIGNER_UNTRUSTED");
  });

  test("are not another's: its trust verifies nothing here", async () => {
    const other = "11111111-2222-4333-8444-555555555555";
    ingest.run.verificationMode = TRUSTED;
    ingest.run.trust.set(other, [chainloopCa]);
    trust(customRoot);
    expect((await store(fixture("chainloop-cli-63k.json"))).refused).toBe("TRANSPARENCY_LOG_THRESHOLD");
  });

  test("trust is asked for once in each revision, by many Stores at once too", async () => {
    const replica = await ingest.replica();
    ingest.run.verificationMode = TRUSTED;
    trust(chainloopCa);
    const asked = ingest.run.calls.trust;
    const bundle = fixture("chainloop-cli-63k.json");
    const runs = Array.from({ length: 8 }, () => ingest.run.begin(ingest.organizationId));
    await Promise.all(runs.map((runId) => replica.attestations.store({ runId, bundle })));
    expect(ingest.run.calls.trust).toBe(asked + 1);
    trust(chainloopCa);
    await store(bundle, replica);
    await store(bundle, replica);
    expect(ingest.run.calls.trust).toBe(asked + 2);
    await replica.stop();
  });

  test("that cannot be asked for keep nothing, and the client may try again", async () => {
    const replica = await ingest.replica();
    ingest.run.verificationMode = TRUSTED;
    trust(chainloopCa);
    ingest.run.beforeTrust = () => {
      throw new DomainError("PEER_UNAVAILABLE", "away", { retryAfterMs: 100 });
    };
    expect((await store(fixture("chainloop-cli-63k.json"), replica)).refused).toBe("PEER_UNAVAILABLE");
    ingest.run.beforeTrust = () => undefined;
    expect((await store(fixture("chainloop-cli-63k.json"), replica)).refused).toBeUndefined();
    await replica.stop();
  });
});

describe("the moment of receipt", () => {
  test("decides; a retry of what is stored is OK after the certificate ran out and the trust was narrowed", async () => {
    ingest.run.verificationMode = TRUSTED;
    trust(chainloopCa);
    const bundle = fixture("chainloop-cli-63k.json");
    const runId = ingest.run.begin(ingest.organizationId);
    const answer = await ingest.attestations.store({ runId, bundle });
    const before = await verificationOf(runId);
    const at = before?.receivedAt && timestampDate(before.receivedAt).getTime();
    expect(Math.abs((at ?? 0) - received)).toBeLessThan(60_000);

    jest.setSystemTime(Date.parse("2026-11-23T23:25:00Z"));
    trust(customRoot);
    expect(await ingest.attestations.store({ runId, bundle })).toEqual(answer);
    expect(await verificationOf(runId)).toEqual(before);
    trust(chainloopCa);
    expect((await store(bundle)).refused).toBe("SIGNER_UNTRUSTED");
  });
});

describe("C11: the line end at the end of a file", () => {
  test("makes another digest, and both are verified", async () => {
    const bundle = fixture("C11-newline-at-end.json");
    for (const bytes of [bundle, bundle.subarray(0, -2)]) {
      const { runId } = await store(bytes);
      expect(await verificationOf(runId)).toMatchObject({ status: VERIFIED });
    }
  });
});
