import { X509Certificate } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createLogger, SettingError } from "@attestry/service-kit";
import { createSigningAuthorityFiles, SigningAuthority } from "@attestry/service-kit/certificates";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { decodeJwt } from "jose";
import { openssl, p256, requestOf } from "../../../packages/service-kit/tests/signing-requests.ts";
import { openSigning } from "../src/signing/watched-authority.ts";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

/** What was logged. */
const lines: { msg: string; [field: string]: unknown }[] = [];
const note = (fields: object, msg: string) => lines.push({ ...fields, msg });
const logger = Object.assign(createLogger({ name: "workflow-run", level: "silent" }), {
  info: note,
  warn: note,
  error: note,
});

let folder = "";
let harness: Harness;
let files: { certFile: string; keyFile: string };
let request: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "attestry-signing-"));
  files = await createSigningAuthorityFiles(path.join(folder, "ca"));
  harness = await startHarness({ signingCaCertFile: files.certFile, signingCaKeyFile: files.keyFile }, logger);
  request = Buffer.from(await requestOf(p256, "/O=another/CN=whoever"));
});
afterAll(async () => {
  await harness.stop();
  await rm(folder, { recursive: true });
});

describe("with an authority", () => {
  test("a ci token gets a certificate for its own organization; it is told of, and nothing of the request", async () => {
    const { admin, ci, id } = await harness.organization("signs");
    const { certificates, expiresAt } = await ci.signing.issueCertificate({ signingRequest: request });
    const [leaf, root] = certificates.map((pem) => new X509Certificate(pem));
    expect(leaf?.subject).toBe(`O=${id}`);
    expect(leaf?.subjectAltName).toBe(`URI:urn:uuid:${id}`);
    expect(root !== undefined && leaf?.verify(root.publicKey)).toBe(true);
    const life = (expiresAt === undefined ? 0 : timestampDate(expiresAt).getTime()) - Date.now();
    expect(life).toBeGreaterThan(590_000);
    expect(life).toBeLessThanOrEqual(600_000);
    const serial = leaf?.serialNumber.toLowerCase();
    const line = lines.find(({ msg }) => msg === "a certificate was issued");
    expect(line).toMatchObject({ serial, organizationId: id });
    const { events } = await admin.audit.list({ action: "certificate.issue" });
    expect(events).toMatchObject([
      {
        actor: `token role-2 (${String(line?.tokenId)})`,
        resource: `certificate ${serial}`,
        detail: { expires_at: leaf?.validToDate.toISOString() },
      },
    ]);
    expect(JSON.stringify([lines, events.map(({ detail }) => detail)])).not.toContain("whoever");
    expect((await harness.admin.audit.list({ action: "certificate.issue" })).events).toEqual([]);
  });

  test("each certificate has an event of its own; what is refused has none", async () => {
    const { admin, ci } = await harness.organization("signs-more");
    const asked = Array.from({ length: 5 }, () => ci.signing.issueCertificate({ signingRequest: request }));
    const serials = (await Promise.all(asked)).map(({ certificates }) => {
      return `certificate ${new X509Certificate(certificates[0] ?? "").serialNumber.toLowerCase()}`;
    });
    const none = ci.signing.issueCertificate({ signingRequest: Buffer.alloc(0) });
    await expectRefusal(none, "InvalidArgument", "SIGNING_REQUEST_INVALID");
    const { events } = await admin.audit.list({ action: "certificate.issue" });
    expect(events.map(({ resource }) => resource).sort()).toEqual(serials.sort());
  });

  test("a certificate that cannot be told of is not given out", async () => {
    const { ci } = await harness.organization("signs-untold");
    await harness.pool.query("alter table audit_event rename to audit_event_away");
    try {
      const untold = await ci.signing.issueCertificate({ signingRequest: request }).catch((error: unknown) => error);
      expect(untold).toBeInstanceOf(Error);
    } finally {
      await harness.pool.query("alter table audit_event_away rename to audit_event");
    }
  });

  test("a reader sees the authority, and whom certificates of its organization name, but gets none", async () => {
    const { reader, id } = await harness.organization("reads");
    const { certificates, subjectKeyId, signer } = await reader.signing.getAuthority({});
    expect(certificates).toEqual([await readFile(files.certFile, "utf8")]);
    expect(Buffer.from(subjectKeyId)).toEqual(Buffer.from((await loaded()).subjectKeyId));
    expect(signer).toBe(`urn:uuid:${id}`);
    const refused = reader.signing.issueCertificate({ signingRequest: request });
    await expectRefusal(refused, "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(harness.ingest.signing.getAuthority({}), "PermissionDenied", "ROLE_INSUFFICIENT");
    await expectRefusal(harness.as("").signing.getAuthority({}), "Unauthenticated", "TOKEN_MISSING");
  });

  test("authorities before it are told of", async () => {
    const before = await createSigningAuthorityFiles(path.join(folder, "before"));
    const [own, former] = await Promise.all([readFile(files.certFile, "utf8"), readFile(before.certFile, "utf8")]);
    await writeFile(files.certFile, own + former);
    await harness.context.signing?.look();
    try {
      const answer = await harness.admin.signing.getAuthority({});
      expect(answer.certificates).toEqual([own]);
      expect(answer.former.map(({ certificates }) => certificates)).toEqual([[former]]);
    } finally {
      await writeFile(files.certFile, own);
      await harness.context.signing?.look();
    }
  });

  test("a request that is none, weak or giant is refused", async () => {
    const ask = (signingRequest: Uint8Array) => harness.admin.signing.issueCertificate({ signingRequest });
    await expectRefusal(ask(Buffer.alloc(0)), "InvalidArgument", "SIGNING_REQUEST_INVALID");
    await expectRefusal(ask(Buffer.from(await requestOf(["rsa:1024"]))), "InvalidArgument", "SIGNING_REQUEST_INVALID");
    await expectRefusal(ask(Buffer.alloc(20_000, request)), "InvalidArgument", "SIGNING_REQUEST_INVALID");
    await expectRefusal(ask(Buffer.alloc(100_000)), "InvalidArgument", "MESSAGE_TOO_LARGE");
  });
});

test("a token for chainloop gets certificates too", async () => {
  const { secret } = await harness.admin.tokens.create({ name: "pipeline", role: 2, forChainloop: true });
  const { certificates } = await harness.as(secret).signing.issueCertificate({ signingRequest: request });
  expect(new X509Certificate(certificates[0] ?? "").subject).toBe(`O=${String(decodeJwt(secret).org_id)}`);
});

test("without an authority both calls say so", async () => {
  const without = await startHarness();
  try {
    const refused = without.admin.signing.issueCertificate({ signingRequest: request });
    await expectRefusal(refused, "FailedPrecondition", "SIGNING_NOT_SET_UP");
    await expectRefusal(without.admin.signing.getAuthority({}), "FailedPrecondition", "SIGNING_NOT_SET_UP");
  } finally {
    await without.stop();
  }
});

describe("the files", () => {
  const open = (certFile?: string, keyFile?: string) =>
    openSigning({ signingCaCertFile: certFile, signingCaKeyFile: keyFile }, logger);

  test("that cannot be used end the start with one line that names them", async () => {
    const other = await createSigningAuthorityFiles(path.join(folder, "other"));
    await expect(open(files.certFile)).rejects.toThrow("only SIGNING_CA_CERT_FILE is set");
    await expect(open(undefined, files.keyFile)).rejects.toThrow("only SIGNING_CA_KEY_FILE is set");
    const mixed = await open(files.certFile, other.keyFile).catch((error: unknown) => error);
    expect(mixed).toBeInstanceOf(SettingError);
    expect((mixed as Error).message).toContain(files.certFile);
    expect((mixed as Error).message).toContain("not that of the first certificate");
    await expect(open(path.join(folder, "none"), files.keyFile)).rejects.toThrow("ENOENT");
    expect(await open()).toBeUndefined();
  });

  test("of an authority that runs out soon are warned of, not at each look", async () => {
    const made = await openssl({}, [
      ...["req", "-x509", "-nodes", "-newkey", ...p256, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x"],
      ...["-days", "29", "-addext", "keyUsage=critical,keyCertSign"],
    ]);
    const [certFile, keyFile] = [path.join(folder, "soon.pem"), path.join(folder, "soon-key.pem")];
    await writeFile(certFile, made("cert.pem"));
    await writeFile(keyFile, made("key.pem"));
    lines.length = 0;
    const watched = await open(certFile, keyFile);
    await watched?.look();
    expect(lines.map(({ msg }) => msg)).toEqual(["the signing authority runs out soon"]);
  });

  test("are taken up when they change; until the pair fits, the one before stays", async () => {
    const [used, next] = [path.join(folder, "used"), path.join(folder, "next")];
    const pair = await createSigningAuthorityFiles(used);
    const other = await createSigningAuthorityFiles(next);
    const watched = await open(pair.certFile, pair.keyFile);
    const before = watched?.current;
    await copyFile(other.keyFile, pair.keyFile);
    lines.length = 0;
    await watched?.look();
    await watched?.look();
    expect(watched?.current).toBe(before);
    expect(lines.map(({ msg }) => msg)).toEqual([
      "the files of the signing authority cannot be used; the one before stays in use",
    ]);
    expect(String(lines[0]?.err)).toContain("not that of the first certificate");
    await copyFile(other.certFile, pair.certFile);
    await watched?.look();
    expect(watched?.current.certificates).toEqual([await readFile(other.certFile, "utf8")]);
    await writeFile(pair.certFile, "");
    await watched?.look();
    expect(watched?.current.certificates).toEqual([await readFile(other.certFile, "utf8")]);
  });
});

async function loaded(): Promise<SigningAuthority> {
  return SigningAuthority.load({
    cert: await readFile(files.certFile, "utf8"),
    key: await readFile(files.keyFile, "utf8"),
  });
}
