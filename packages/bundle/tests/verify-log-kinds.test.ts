import { createHash, generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { X509Certificate } from "@sigstore/core";
import { parseBundle, verifyTrusted } from "../src/index.ts";
import {
  type Authority,
  authority,
  certificateMaterial,
  DAY,
  ecdsa,
  ecKeys,
  leaf,
  parsed,
  pemOf,
  SIGNER,
  signedBundle,
} from "./signing.ts";
import { fixture, refusalText } from "./support.ts";
import { type EntryKind, type EntryOptions, TransparencyLog, trustedRoot, withEntries } from "./transparency-log.ts";
import { ACTIONS, json, NOW, policy, verdict } from "./trusting.ts";

const KINDS: EntryKind[] = ["dsse 0.0.1", "dsse 0.0.2", "hashedrekord 0.0.1", "hashedrekord 0.0.2", "intoto 0.0.2"];

const keys = ecKeys();
const verifier = pemOf(keys.publicKey);
let root: Authority;
let bundle: Record<string, unknown>;
beforeAll(async () => {
  root = await authority("CN=Root");
  bundle = signedBundle(certificateMaterial(await leaf(root, keys.publicKey)), ecdsa(keys));
});

const trusting = (...logs: TransparencyLog[]) =>
  policy({ trustedRoots: [trustedRoot({ logs, authorities: [root] })] }, { transparencyLogThreshold: 1 });

/** An entry as Rekor v2 gives it: no promise and no time, only the proof. */
function proven(log: TransparencyLog, options: EntryOptions = {}) {
  const { inclusionPromise: _, ...entry } = log.entry(bundle, { kind: "dsse 0.0.2", verifier, ...options });
  return { ...entry, integratedTime: "0" };
}

describe.each([
  ["ECDSA, as Rekor v1 has", ecKeys()],
  ["Ed25519, as Rekor v2 has", generateKeyPairSync("ed25519")],
] as const)("a log whose key is %s", (_, logKeys) => {
  const log = new TransparencyLog(logKeys);

  test.each(KINDS)("that keeps %s verifies, and says nothing of the time", (kind) => {
    const found = verifyTrusted(parsed(withEntries(bundle, [proven(log, { kind })])), trusting(log), DAY);
    expect(found).toMatchObject({ signer: SIGNER, integratedAt: undefined });
  });

  test.each(KINDS)("that keeps %s of something else does not", (kind) => {
    const others: [EntryOptions, RegExp][] = [
      [{ payload: Buffer.from("other") }, /hash mismatch|digest mismatch/],
      [{ signature: "AAAA" }, /signature mismatch/],
      [{ verifier: pemOf(ecKeys().publicKey) }, /by the signer's key/],
    ];
    for (const [other, message] of others) {
      const refusal = verdict(withEntries(bundle, [proven(log, { kind, ...other })]), trusting(log), DAY);
      expect(refusal).toMatch(/^TRANSPARENCY_LOG_THRESHOLD: log entry/);
      expect(refusal).toMatch(message);
    }
  });
});

describe("an entry of Rekor v2", () => {
  const log = new TransparencyLog(generateKeyPairSync("ed25519"));
  const witness = new TransparencyLog(generateKeyPairSync("ed25519"));

  test("has no time, so the certificate is judged at the receipt", async () => {
    const minutes = { notBefore: new Date("2026-06-15T11:55:00Z"), notAfter: new Date("2026-06-15T12:05:00Z") };
    const short = signedBundle(certificateMaterial(await leaf(root, keys.publicKey, minutes)), ecdsa(keys));
    const { inclusionPromise: _, ...entry } = log.entry(short, { kind: "dsse 0.0.2", verifier });
    expect(verdict(withEntries(short, [entry]), trusting(log), NOW)).toMatch(/^SIGNER_UNTRUSTED: .*is good/);
    expect(verifyTrusted(parsed(withEntries(short, [entry])), trusting(log), DAY).signer).toBe(SIGNER);
  });

  test("of a version that nobody knows is refused", () => {
    const entry = proven(log);
    const body = JSON.parse(Buffer.from(entry.canonicalizedBody, "base64").toString());
    const canonicalizedBody = Buffer.from(JSON.stringify({ ...body, apiVersion: "0.0.3" })).toString("base64");
    const unknown = { ...entry, kindVersion: { kind: "dsse", version: "0.0.3" }, canonicalizedBody };
    expect(verdict(withEntries(bundle, [unknown]), trusting(log), DAY)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
    const odd = { ...entry, kindVersion: { kind: "rpm", version: "0.0.1" } };
    expect(verdict(withEntries(bundle, [odd]), trusting(log), DAY)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
  });

  test("without a proof, or with one without a checkpoint, is refused", () => {
    const { inclusionProof, ...entry } = proven(log);
    const { checkpoint: _, ...proof } = inclusionProof;
    for (const bare of [entry, { ...entry, inclusionProof: proof }])
      expect(verdict(withEntries(bundle, [bare]), trusting(log), DAY)).toMatch(/expected an inclusionProof with a ch/);
  });

  const withCheckpoint = (write: (note: string) => string) => {
    const entry = proven(log);
    const note = log.note(Buffer.from(entry.inclusionProof.rootHash, "base64"));
    return withEntries(bundle, [
      { ...entry, inclusionProof: { ...entry.inclusionProof, checkpoint: { envelope: write(note) } } },
    ]);
  };
  const own = (note: string) => log.noteSignature(note);
  const cosigned = (note: string, name: string) => witness.noteSignature(note).replace(log.name, name);

  test.each<[string, (note: string) => string]>([
    ["a witness signed too", (note) => `${note}\n${own(note)}${cosigned(note, "witness.example")}`],
    ["two did", (note) => `${note}\n${own(note)}${cosigned(note, "a.example")}${cosigned(note, "b.example")}`],
    ["a witness signed first", (note) => `${note}\n${cosigned(note, "witness.example")}${own(note)}`],
    ["another key of the same name signed too", (note) => `${note}\n${own(note)}${cosigned(note, log.name)}`],
    ["another key of the same name signed first", (note) => `${note}\n${cosigned(note, log.name)}${own(note)}`],
  ])("whose checkpoint is signed by the log verifies: %s", (_, write) => {
    expect(verifyTrusted(parsed(withCheckpoint(write)), trusting(log), DAY).signer).toBe(SIGNER);
  });

  const lines = (note: string, ...kept: number[]) => `${kept.map((line) => note.split("\n")[line]).join("\n")}\n`;
  const signed = (note: string) => `${note}\n${own(note)}`;
  test.each<[string, (note: string) => string]>([
    ["no signature", (note) => `${note}\n`],
    ["a witness's alone", (note) => `${note}\n${cosigned(note, "witness.example")}`],
    ["another key's under the name of the log", (note) => `${note}\n${cosigned(note, log.name)}`],
    ["its signature under another name", (note) => `${note}\n${own(note).replace(log.name, "other.name")}`],
    ["a hint of another key", (note) => `${note}\n${own(note).replace(/ (\S{4})(\S+)\n$/, " AAAA$2\n")}`],
    ["no origin", (note) => signed(lines(note, 1, 2))],
    ["no size", (note) => signed(lines(note, 0, 2))],
    ["no root hash", (note) => signed(lines(note, 0, 1))],
    ["another root hash", (note) => signed(note.replace(/\n2\n.*/, `\n2\n${Buffer.alloc(32).toString("base64")}`))],
    ["another size", (note) => signed(note.replace("\n2\n", "\n3\n"))],
    ["nothing at all", () => ""],
    ["no empty line", (note) => note + own(note)],
  ])("whose checkpoint has %s is refused", (_, write) => {
    expect(verdict(withCheckpoint(write), trusting(log), DAY)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD: log entry/);
  });
});

test("a log of one entry: the proof has no hash, and by a bare key there is no certificate", () => {
  const log = new TransparencyLog();
  const byKey = signedBundle({ publicKey: { hint: "release" } }, ecdsa(keys));
  const entry = log.entry(byKey, { kind: "intoto 0.0.2", verifier });
  const body = Buffer.from(entry.canonicalizedBody, "base64");
  const only = createHash("sha256")
    .update(Buffer.concat([Buffer.from([0]), body]))
    .digest();
  const note = `${log.name} - 1\n1\n${only.toString("base64")}\n`;
  const proof = {
    ...{ logIndex: "0", treeSize: "1", rootHash: only.toString("base64"), hashes: [] },
    checkpoint: { envelope: `${note}\n${log.noteSignature(note)}` },
  };
  const material = { trustedRoots: [trustedRoot({ logs: [log] })], publicKeys: [verifier] };
  const by = policy(material, { transparencyLogThreshold: 1 });
  const first = { ...entry, logIndex: "0", inclusionPromise: undefined, inclusionProof: proof };
  expect(verifyTrusted(parsed(withEntries(byKey, [first])), by, NOW)).toMatchObject({ signer: "" });
  expect(verdict(withEntries(byKey, [{ ...first, inclusionProof: { ...proof, logIndex: "1" } }]), by, NOW)).toMatch(
    /^TRANSPARENCY_LOG_THRESHOLD/,
  );
});

describe("the time for which a trusted root names a log", () => {
  const log = new TransparencyLog();
  const during = (validFor: object | undefined) => {
    const json = JSON.parse(trustedRoot({ logs: [log], authorities: [root] }));
    json.tlogs[0].publicKey.validFor = validFor;
    return policy({ trustedRoots: [JSON.stringify(json)] }, { transparencyLogThreshold: 1 });
  };
  const entry = () => log.entry(bundle, { integratedTime: DAY, verifier });
  const moment = (ms: number) => new Date(DAY.getTime() + ms).toISOString();

  test("both ends belong to it", () => {
    for (const validFor of [{ start: moment(0) }, { start: moment(-1_000), end: moment(0) }])
      expect(verifyTrusted(parsed(withEntries(bundle, [entry()])), during(validFor), NOW).signer).toBe(SIGNER);
  });

  test("it may be left out, but not its start alone", () => {
    expect(verifyTrusted(parsed(withEntries(bundle, [entry()])), during(undefined), NOW).signer).toBe(SIGNER);
    for (const validFor of [{}, { end: moment(1_000) }])
      expect(refusalText(() => during(validFor))).toMatch(/^TRUST_MATERIAL_INVALID: .*validFor: expected a start/);
  });

  test("a time outside it is refused", () => {
    for (const validFor of [{ start: moment(1_000) }, { start: moment(-2_000), end: moment(-1_000) }])
      expect(verdict(withEntries(bundle, [entry()]), during(validFor), NOW)).toMatch(/^TRANSPARENCY_LOG_THRESHOLD/);
  });
});

describe("of two authorities of the same name, the one that issued the certificate counts", () => {
  test("wherever it stands", async () => {
    const log = new TransparencyLog();
    const entries = [log.entry(bundle, { integratedTime: DAY, verifier })];
    const decoy = await authority("CN=Root");
    for (const authorities of [
      [decoy, root],
      [root, decoy],
    ]) {
      const by = policy({ trustedRoots: [trustedRoot({ logs: [log], authorities })] }, { transparencyLogThreshold: 1 });
      expect(verifyTrusted(parsed(withEntries(bundle, entries)), by, NOW).signer).toBe(SIGNER);
    }
    const alone = policy({ trustedRoots: [trustedRoot({ logs: [log], authorities: [decoy] })] });
    expect(verdict(withEntries(bundle, entries), alone, NOW)).toMatch(/^SIGNER_UNTRUSTED/);
  });

  test("for the receipts of logs of certificates too", async () => {
    const trusted = json("sigstore-public-good.trusted_root.json");
    const { certChain } = trusted.certificateAuthorities.at(-1);
    const genuine = X509Certificate.parse(Buffer.from(certChain.certificates[0].rawBytes, "base64"));
    const decoyRoot = await authority("O=sigstore.dev,CN=sigstore");
    const decoy = await authority("O=sigstore.dev,CN=sigstore-intermediate", decoyRoot);
    expect(X509Certificate.parse(Buffer.from(decoy.der)).subject).toEqual(genuine.subject);
    trusted.certificateAuthorities.unshift({
      ...trusted.certificateAuthorities.at(-1),
      certChain: { certificates: [decoy, decoyRoot].map(({ der }) => ({ rawBytes: der.toString("base64") })) },
    });
    const by = policy({ trustedRoots: [JSON.stringify(trusted)] }, { transparencyLogThreshold: 1 });
    expect(verifyTrusted(parseBundle(fixture("happy-path-intoto-in-dsse-v3.json")), by, NOW).issuer).toBe(ACTIONS);
  });
});
