import { VerificationStatus } from "@attestry/api/ingest";
import { Role, RunState, VerificationMode } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { bundleOfSize, fixture } from "./fixtures.ts";
import { refusal } from "./refusals.ts";

// Verified by its own trusted root whatever the time is: it has a timestamp and a log entry of 2023.
const signed = fixture("intoto-with-custom-trust-root.json");
const broken = fixture("dsse-invalid-sig_fail.json");
const policy = {
  trustedRoots: [fixture("intoto-with-custom-trust-root.trusted_root.json").toString()],
  transparencyLogThreshold: 1,
  timestampThreshold: 1,
};
const { OFF, SIGNATURE, TRUSTED } = VerificationMode;

describe.each(["one-process", "processes"] as const)("verification, %s", (shape) => {
  let attestry: Constellation;
  let root: Clients;
  let count = 0;

  beforeAll(async () => {
    attestry = await startConstellation({ shape, backend: "filesystem" });
    root = clientsOf(attestry, attestry.adminToken);
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  /** An admin of a new organization. */
  async function organization(): Promise<Clients> {
    const name = `verifies-${++count}`;
    await root.organizations.create({ name });
    const { secret } = await root.tokens.create({ name: "admin", role: Role.ADMIN, organization: name });
    return clientsOf(attestry, secret);
  }

  /** Stores it for a new run; the reason if it was refused, and then the run must be as it was. */
  async function store(clients: Clients, bundle: Buffer) {
    const runId = await startRun(clients);
    try {
      await clients.attestations.store({ runId, bundle });
      const { attestation } = await clients.attestations.get({ by: { case: "runId", value: runId } });
      return { verification: attestation?.verification };
    } catch (error) {
      const { run } = await clients.runs.get({ by: { case: "runId", value: runId } });
      expect(run?.state).toBe(RunState.INITIALIZED);
      return { refused: (await refusal(Promise.reject(error))).reason };
    }
  }

  test("is of the signature at first; another mode holds from the next Store on", async () => {
    const clients = await organization();
    expect(await store(clients, broken)).toEqual({ refused: "SIGNATURE_INVALID" });
    expect(await store(clients, signed)).toMatchObject({
      verification: { status: VerificationStatus.VERIFIED, mode: SIGNATURE },
    });
    await clients.organizations.update({ verificationMode: OFF });
    expect(await store(clients, broken)).toMatchObject({
      verification: { status: VerificationStatus.NOT_CHECKED, mode: OFF },
    });
    await clients.organizations.update({ verificationMode: SIGNATURE });
    expect(await store(clients, broken)).toEqual({ refused: "SIGNATURE_INVALID" });
  });

  test("by trust uses what is set at once, and never another organization's", async () => {
    const [clients, others] = [await organization(), await organization()];
    await clients.trust.set({ policy });
    await others.trust.set({ policy: { ...policy, signers: [{ subject: "https://example.test/*", issuer: "*" }] } });
    for (const each of [clients, others]) await each.organizations.update({ verificationMode: TRUSTED });
    expect(await store(clients, signed)).toMatchObject({
      verification: {
        ...{ status: VerificationStatus.VERIFIED, mode: TRUSTED, trustRevision: 1 },
        issuer: "https://token.actions.githubusercontent.com",
      },
    });
    expect(await store(others, signed)).toEqual({ refused: "SIGNER_UNTRUSTED" });
    await others.trust.set({ policy });
    expect(await store(others, signed)).toMatchObject({ verification: { trustRevision: 2 } });
    await clients.trust.set({ policy: { ...policy, transparencyLogThreshold: 2 } });
    expect(await store(clients, signed)).toEqual({ refused: "TRANSPARENCY_LOG_THRESHOLD" });
  });

  test("of a bundle that is read in a thread", async () => {
    const clients = await organization();
    expect(await store(clients, bundleOfSize(1_000_000))).toMatchObject({
      verification: { status: VerificationStatus.NOT_CHECKED, mode: SIGNATURE },
    });
  });
});
