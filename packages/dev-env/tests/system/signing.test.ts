import { createPublicKey, sign, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { VerificationStatus } from "@attestry/api/ingest";
import { Role, VerificationMode } from "@attestry/api/run";
import { createSigningAuthorityFiles, SigningAuthority } from "@attestry/service-kit/certificates";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { keyAndRequest, p256 } from "../../../service-kit/tests/signing-requests.ts";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { refusal } from "./refusals.ts";

const payloadType = "application/vnd.in-toto+json";
const statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "chainloop.workflow.build", digest: { sha256: "ab".repeat(32) } }],
  predicateType: "chainloop.dev/attestation/v0.2",
  predicate: {},
};

/** As the chainloop command line makes it: one certificate, no chain, no log entry, no timestamp. */
function bundleOf(key: string, certificate: string): Buffer {
  const payload = Buffer.from(JSON.stringify(statement));
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `),
    payload,
  ]);
  const sig = sign("sha256", signed, key).toString("base64");
  const rawBytes = new X509Certificate(certificate).raw.toString("base64");
  return Buffer.from(
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { certificate: { rawBytes } },
      dsseEnvelope: { payload: payload.toString("base64"), payloadType, signatures: [{ sig, keyid: "" }] },
    }),
  );
}

describe.each(["one-process", "processes"] as const)("signed by certificates of the server, %s", (shape) => {
  let attestry: Constellation;
  let root: Clients;
  let count = 0;

  beforeAll(async () => {
    attestry = await startConstellation({ shape, backend: "filesystem" });
    root = clientsOf(attestry, attestry.adminToken);
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  /** A new organization; its CI has a token as the chainloop command line reads it. */
  async function organization() {
    const name = `signs-${++count}`;
    const { organization } = await root.organizations.create({ name });
    const tokenOf = async (role: Role, forChainloop: boolean) =>
      (await root.tokens.create({ name: `role-${role}`, role, organization: name, forChainloop })).secret;
    return {
      id: organization?.id ?? "",
      admin: clientsOf(attestry, await tokenOf(Role.ADMIN, false)),
      ci: clientsOf(attestry, await tokenOf(Role.CI, true)),
    };
  }

  async function issuedBundle({ signing }: Clients): Promise<Buffer> {
    const { key, request } = await keyAndRequest(p256, "/CN=7374aead-1e31-47cd-9349-e848cc02d1b7");
    const { certificates } = await signing.issueCertificate({ signingRequest: Buffer.from(request) });
    return bundleOf(key, certificates[0] ?? "");
  }

  async function store(clients: Clients, bundle: Buffer) {
    const runId = await startRun(clients);
    await clients.attestations.store({ runId, bundle });
    const { attestation } = await clients.attestations.get({ by: { case: "runId", value: runId } });
    return attestation?.verification;
  }

  const refused = async (clients: Clients, bundle: Buffer) => (await refusal(store(clients, bundle))).reason;

  /** Trusts the server's authority, for its own certificates alone. */
  async function trustOwn(admin: Clients): Promise<string> {
    const { certificates, signer } = await admin.signing.getAuthority({});
    await admin.trust.set({
      policy: { certificateAuthorities: [certificates.join("")], signers: [{ subject: signer, issuer: "*" }] },
    });
    await admin.organizations.update({ verificationMode: VerificationMode.TRUSTED });
    return signer;
  }

  test("is verified at signature, by a signer that is the organization", async () => {
    const { ci, id } = await organization();
    const { status, mode, signer, issuer } = (await store(ci, await issuedBundle(ci))) ?? {};
    expect({ status, mode, signer, issuer }).toEqual({
      status: VerificationStatus.VERIFIED,
      mode: VerificationMode.SIGNATURE,
      signer: `urn:uuid:${id}`,
      issuer: "",
    });
    const bundle = JSON.parse((await issuedBundle(ci)).toString());
    bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify({ ...statement, predicate: { changed: true } })).toString(
      "base64",
    );
    expect(await refused(ci, Buffer.from(JSON.stringify(bundle)))).toBe("SIGNATURE_INVALID");
  });

  test("is verified at trusted, once the organization trusts the authority", async () => {
    const { admin, ci } = await organization();
    const signer = await trustOwn(admin);
    expect(await store(ci, await issuedBundle(ci))).toMatchObject({
      status: VerificationStatus.VERIFIED,
      mode: VerificationMode.TRUSTED,
      trustRevision: 1,
      signer,
    });
  });

  test("is not trusted with a certificate of another organization, of another authority, or that ran out before receipt", async () => {
    const { admin, ci, id } = await organization();
    const others = await organization();
    await trustOwn(admin);
    expect(await refused(ci, await issuedBundle(others.ci))).toBe("SIGNER_UNTRUSTED");

    const { key } = await keyAndRequest(p256);
    const bundleBy = async (authority: SigningAuthority, at: Date) => {
      const { certificates } = await authority.issue(createPublicKey(key), id, at);
      return bundleOf(key, certificates[0] ?? "");
    };
    const own = await load(path.join(path.dirname(attestry.secretsDir), "keys"));
    const elsewhere = await mkdtemp(path.join(os.tmpdir(), "attestry-elsewhere-"));
    const foreign = await load(elsewhere);
    await rm(elsewhere, { recursive: true });
    const now = new Date();
    expect(await refused(ci, await bundleBy(foreign, now))).toBe("SIGNER_UNTRUSTED");
    expect(await refused(ci, await bundleBy(own, new Date(now.getTime() - 11 * 60_000)))).toBe("SIGNER_UNTRUSTED");
    expect(await refused(ci, await bundleBy(own, new Date(now.getTime() + 11 * 60_000)))).toBe("SIGNER_UNTRUSTED");
    // The same way, at the right time: what was refused was refused for its time.
    expect(await store(ci, await bundleBy(own, now))).toMatchObject({ status: VerificationStatus.VERIFIED });
  });
});

async function load(dir: string): Promise<SigningAuthority> {
  const { certFile, keyFile } = await createSigningAuthorityFiles(dir);
  return SigningAuthority.load({ cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") });
}
