import { beforeAll, describe, expect, test } from "@jest/globals";
import { verifyTrusted } from "../src/index.ts";
import {
  type Authority,
  authority,
  certificateMaterial,
  DAY,
  ecdsa,
  ecKeys,
  ISSUER,
  leaf,
  parsed,
  pemOf,
  SIGNER,
  signedBundle,
} from "./signing.ts";
import { fixture } from "./support.ts";
import { TransparencyLog, trustedRoot, withEntries } from "./transparency-log.ts";
import { NOW, policy, text, verdict } from "./trusting.ts";

describe("a log", () => {
  const keys = ecKeys();
  const log = new TransparencyLog();
  let root: Authority;
  let bundle: Record<string, unknown>;
  let by: ReturnType<typeof policy>;
  const verifier = pemOf(keys.publicKey);
  beforeAll(async () => {
    root = await authority("CN=Root");
    const minutes = { notBefore: new Date("2026-06-15T11:55:00Z"), notAfter: new Date("2026-06-15T12:05:00Z") };
    bundle = signedBundle(certificateMaterial(await leaf(root, keys.publicKey, minutes)), ecdsa(keys));
    by = policy({ trustedRoots: [trustedRoot({ logs: [log], authorities: [root] })] }, { transparencyLogThreshold: 1 });
  });
  const entry = (options: object = {}) => log.entry(bundle, { integratedTime: DAY, verifier, ...options });

  test("lends its time to the certificate", () => {
    expect(verifyTrusted(parsed(withEntries(bundle, [entry()])), by, NOW)).toEqual({
      ...{ signer: SIGNER, issuer: ISSUER },
      integratedAt: DAY,
    });
  });

  test("lends none without a promise: the proof has no time", () => {
    const proven = { ...entry(), inclusionPromise: undefined };
    expect(verdict(withEntries(bundle, [proven]), by, NOW)).toMatch(/^SIGNER_UNTRUSTED: .*is good/);
    expect(verifyTrusted(parsed(withEntries(bundle, [proven])), by, DAY).integratedAt).toBeUndefined();
  });

  test("of v0.1 promises; its proof counts only with a checkpoint", () => {
    const v01 = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    const { inclusionProof, inclusionPromise, ...bare } = entry();
    const { checkpoint: _, ...proof } = inclusionProof;
    const verified = (tlogEntry: object) =>
      verifyTrusted(parsed(withEntries(bundle, [tlogEntry], v01)), by, NOW).signer;
    expect(verified({ ...bare, inclusionPromise })).toBe(SIGNER);
    expect(verified({ ...bare, inclusionPromise, inclusionProof: proof })).toBe(SIGNER);
    expect(verdict(withEntries(bundle, [{ ...bare, inclusionProof }], v01), by)).toMatch(
      /^VERIFICATION_MATERIAL_INVALID/,
    );
    const wrong = { ...inclusionProof, hashes: [] };
    expect(verdict(withEntries(bundle, [{ ...bare, inclusionPromise, inclusionProof: wrong }], v01), by)).toMatch(
      /^TRANSPARENCY_LOG/,
    );
  });

  const stranger = new TransparencyLog();
  test.each<[string, () => unknown, RegExp]>([
    [
      "an entry of a log that nobody trusts",
      () => stranger.entry(bundle, { integratedTime: DAY, verifier }),
      /one of the log/,
    ],
    [
      "a good entry beside one of those",
      () => [entry(), stranger.entry(bundle, { integratedTime: DAY })],
      /one of the log/,
    ],
    [
      "another log's promise",
      () => ({ ...entry(), inclusionPromise: stranger.entry(bundle, { integratedTime: DAY }).inclusionPromise }),
      /promise/,
    ],
    [
      "another log's checkpoint",
      () => ({
        ...entry(),
        inclusionProof: {
          ...entry().inclusionProof,
          checkpoint: { envelope: log.checkpoint(Buffer.from(entry().inclusionProof.rootHash, "base64"), stranger) },
        },
      }),
      /checkpoint/,
    ],
    [
      "a checkpoint of another tree",
      () => ({
        ...entry(),
        inclusionProof: { ...entry().inclusionProof, checkpoint: { envelope: log.checkpoint(Buffer.alloc(32)) } },
      }),
      /root hash/,
    ],
    [
      "a proof that speaks of another root than the checkpoint",
      () => ({
        ...entry(),
        inclusionProof: { ...entry().inclusionProof, rootHash: Buffer.alloc(32).toString("base64") },
      }),
      /root hash/,
    ],
    ["an entry for another payload", () => entry({ payload: Buffer.from("other") }), /payload hash/i],
    ["an entry for another signature", () => entry({ signature: "AAAA" }), /signature mismatch/],
    ["an entry by another key", () => entry({ verifier: pemOf(ecKeys().publicKey) }), /signer's key/],
    ["an entry by what is no key", () => entry({ verifier: "nobody" }), /signer's key/],
  ])("%s is refused", (_, forged, message) => {
    const entries = [forged()].flat();
    const refusal = verdict(withEntries(bundle, entries), by, NOW);
    expect(refusal).toMatch(/^TRANSPARENCY_LOG_THRESHOLD: log entr/);
    expect(refusal).toMatch(message);
  });

  test("that took it in after the certificate ran out is refused", () => {
    const late = entry({ integratedTime: new Date("2026-06-15T12:06:00Z") });
    expect(verdict(withEntries(bundle, [late]), by, NOW)).toMatch(/^SIGNER_UNTRUSTED: .*is good/);
  });

  test("two of two: each has to be good, and each counts", () => {
    const second = new TransparencyLog();
    const both = policy(
      { trustedRoots: [trustedRoot({ logs: [log, second], authorities: [root] })] },
      { transparencyLogThreshold: 2, timestampThreshold: 2 },
    );
    const other = second.entry(bundle, { integratedTime: new Date(DAY.getTime() + 1000), verifier });
    expect(verifyTrusted(parsed(withEntries(bundle, [other, entry()])), both, NOW).integratedAt).toEqual(DAY);
    expect(verdict(withEntries(bundle, [entry()]), both, NOW)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
    expect(verdict(withEntries(bundle, [entry(), entry()]), both, NOW)).toMatch(/duplicate/);
  });

  test("of certificates: where the root has some, a certificate without its receipt is refused", () => {
    const strict = policy({
      trustedRoots: [trustedRoot({ logs: [log], ctLogs: [new TransparencyLog()], authorities: [root] })],
    });
    expect(verdict(withEntries(bundle, [entry()]), strict, NOW)).toMatch(
      /^SIGNER_UNTRUSTED: certificate: expected 1 SCTs, got 0/,
    );
  });

  test("of certificates whose key is another refuses their receipts", () => {
    const root = JSON.parse(text("sigstore-public-good.trusted_root.json"));
    for (const ctlog of root.ctlogs) ctlog.publicKey.rawBytes = new TransparencyLog().instance.publicKey.rawBytes;
    const strict = policy({ trustedRoots: [JSON.stringify(root)] });
    expect(verdict(fixture("happy-path-intoto-in-dsse-v3.json"), strict)).toMatch(/^SIGNER_UNTRUSTED: .*SCT/);
  });
});
