import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { CompactSign, importJWK, type JWTPayload, SignJWT } from "jose";
import { authorize, checkAccessTable } from "../src/auth/access.ts";
import { listKeys, newKey, removeFormerKey, rotateKey } from "../src/auth/key-files.ts";
import {
  type CasPrincipal,
  createAuthenticator,
  createKeyFiles,
  DomainError,
  Keyring,
  reasonOf,
} from "../src/index.ts";
import { adminClaims, adminToken, fakeModule, keyrings } from "./fake-module.ts";

const run = keyrings["workflow-run"];
const here = createAuthenticator({ keyring: run });

async function verdict(token: string | null, authenticator = here): Promise<string | undefined> {
  return authenticator.authenticate(token === null ? null : `Bearer ${token}`).then(({ kind }) => kind, reasonOf);
}

const casClaims: Omit<CasPrincipal, "kind"> = {
  organizationId: "o1",
  organization: "default",
  role: "uploader",
  space: "blobs",
  backends: [],
  maxBytes: 1,
};
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const [head = "", body = "", signature = ""] = adminToken.split(".");

describe("tokens", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test("who may pass", async () => {
    expect(await verdict(adminToken)).toBe("api");
    expect(await verdict(await keyrings["cas-gateway"].serviceToken("workflow-run"))).toBe("service");
    const gateway = createAuthenticator({ keyring: keyrings["cas-gateway"] });
    expect(await verdict((await run.issueCasToken(casClaims)).token, gateway)).toBe("cas");
  });

  const oddClaims: [claim: string, claims: Record<string, unknown>, reason: string][] = [
    ["iss", { iss: {} }, "TOKEN_MALFORMED"],
    ["aud", { aud: [[{ toString: true }]] }, "TOKEN_MALFORMED"],
    ["jti", { jti: 1 }, "TOKEN_MALFORMED"],
    ["org_id", { org_id: null }, "TOKEN_MALFORMED"],
    ["org", { org: ["default"] }, "TOKEN_MALFORMED"],
    ["role", { role: "root" }, "TOKEN_MALFORMED"],
    ["role", { role: "__proto__" }, "TOKEN_MALFORMED"],
    ["instance_admin", { instance_admin: "true" }, "TOKEN_MALFORMED"],
    ["cas", { cas: { ...casClaims, maxBytes: -1 } }, "TOKEN_MALFORMED"],
    ["cas", { cas: { ...casClaims, backends: [{ id: "b" }] } }, "TOKEN_MALFORMED"],
    ["cas", { cas: true }, "TOKEN_MALFORMED"],
    ["nbf", { nbf: { toString: true } }, "TOKEN_MALFORMED"],
    ["nbf", { nbf: 1e300 }, "TOKEN_MALFORMED"],
    ["exp", { exp: -1e300 }, "TOKEN_EXPIRED"],
    ["iss and exp", { iss: {}, exp: 1, aud: "attestry/service/workflow-run" }, "TOKEN_MALFORMED"],
  ];
  test.each(oddClaims)("signed with the right key, but with an odd claim %s: %j", async (_claim, claims, reason) => {
    const key = await newKey("workflow-run");
    const own = createAuthenticator({ keyring: await Keyring.of(key, [key]) });
    const payload = {
      iss: "workflow-run",
      aud: "attestry/api",
      jti: "t",
      org_id: "o",
      org: "n",
      role: "ci",
      ...claims,
    };
    const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: "EdDSA", kid: key.kid ?? "" })
      .sign(await importJWK(key, "EdDSA"));
    expect(await verdict(token, own)).toBe(reason);
  });

  test("each fault has its reason", async () => {
    const { kid } = JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string };
    const hs256 = `${base64({ alg: "HS256", kid })}.${body}`;
    const foreign = await Keyring.generate();
    const key = await newKey("workflow-run");
    const unborn = await new SignJWT({})
      .setProtectedHeader({ alg: "EdDSA", kid: key.kid ?? "" })
      .setIssuer("workflow-run")
      .setAudience("attestry/api")
      .setNotBefore("1h")
      .sign(await importJWK(key, "EdDSA"));
    const own = createAuthenticator({ keyring: await Keyring.of(key, [key]) });
    await expect(own.authenticate(`Bearer ${unborn}`)).rejects.toMatchObject({
      code: "TOKEN_MALFORMED",
      message: expect.stringContaining("not valid yet"),
    });
    const endless = await new SignJWT({})
      .setProtectedHeader({ alg: "EdDSA", kid: key.kid ?? "" })
      .setIssuer("workflow-run")
      .setAudience("attestry/service/workflow-run")
      .sign(await importJWK(key, "EdDSA"));
    await expect(own.authenticate(`Bearer ${endless}`)).rejects.toMatchObject({
      code: "TOKEN_MALFORMED",
      message: expect.stringContaining("no exp"),
    });

    expect(await verdict(null)).toBe("TOKEN_MISSING");
    expect(await verdict("")).toBe("TOKEN_MALFORMED");
    expect(await verdict("a".repeat(9_000))).toBe("TOKEN_MALFORMED");
    expect(await verdict("no.jwt.here")).toBe("TOKEN_MALFORMED");
    expect(await verdict(`${base64({ alg: "none", kid })}.${body}.`)).toBe("TOKEN_SIGNATURE_INVALID");
    expect(await verdict(`${hs256}.${createHmac("sha256", "public key").update(hs256).digest("base64url")}`)).toBe(
      "TOKEN_SIGNATURE_INVALID",
    );
    expect(await verdict(await foreign["workflow-run"].issueApiToken(adminClaims))).toBe("TOKEN_SIGNATURE_INVALID");
    expect(await verdict(`${head}.${base64({ ...adminClaims, role: "admin" })}.${signature}`)).toBe(
      "TOKEN_SIGNATURE_INVALID",
    );
    expect(await verdict(await run.serviceToken("cas-gateway"))).toBe("TOKEN_AUDIENCE_WRONG");
    expect(await verdict((await run.issueCasToken(casClaims)).token)).toBe("TOKEN_AUDIENCE_WRONG");
    const byIngest = await keyrings["attestation-ingest"].issueApiToken(adminClaims);
    expect(await verdict(byIngest)).toBe("TOKEN_AUDIENCE_WRONG");
    const past = await run.issueApiToken({ ...adminClaims, expiresAt: new Date(Date.now() - 60_000) });
    expect(await verdict(past)).toBe("TOKEN_EXPIRED");
  });

  test("tokens that workflow-run and services never make: without an end, without a beginning, or with too long between", async () => {
    const key = await newKey("workflow-run");
    const gatewayKey = await newKey("cas-gateway");
    const keys = [key, gatewayKey];
    const own = createAuthenticator({ keyring: await Keyring.of(key, keys) });
    const gateway = createAuthenticator({ keyring: await Keyring.of(gatewayKey, keys) });
    const second = Math.floor(Date.now() / 1_000);
    const signed = async (audience: string, claims: JWTPayload) =>
      new SignJWT({ org_id: "o1", org: "default", cas: casClaims, ...claims })
        .setProtectedHeader({ alg: "EdDSA", kid: key.kid ?? "" })
        .setIssuer("workflow-run")
        .setAudience(audience)
        .sign(await importJWK(key, "EdDSA"));
    for (const [audience, authenticator, kind, longest] of [
      ["attestry/service/workflow-run", own, "service", 60],
      ["attestry/cas", gateway, "cas", 300],
    ] as const) {
      const verdicts = await Promise.all(
        [
          { iat: second, exp: second + longest },
          { iat: second, exp: second + longest + 1 },
          { iat: second },
          { exp: second + 1 },
        ].map(async (claims) => verdict(await signed(audience, claims), authenticator)),
      );
      expect(verdicts).toEqual([kind, "TOKEN_MALFORMED", "TOKEN_MALFORMED", "TOKEN_MALFORMED"]);
    }
  });

  test("a remembered token is not remembered beyond its end", async () => {
    jest.useFakeTimers({ now: Date.now(), doNotFake: ["setImmediate", "nextTick", "performance"] });
    const token = await run.issueApiToken({ ...adminClaims, expiresAt: new Date(Date.now() + 10_000) });
    expect(await verdict(token)).toBe("api");
    jest.setSystemTime(Date.now() + 42_000);
    expect(await verdict(token)).toBe("TOKEN_EXPIRED");
  });
});

test("the access table must fit the services, and roles build on each other", () => {
  const { services, access } = fakeModule();
  checkAccessTable(services, access);
  expect(() => checkAccessTable(services, {})).toThrow("no access rule for attestry.run.v1.WorkflowService");
  expect(() => checkAccessTable(services, { ...access, "a.B/C": { public: true } })).toThrow("a.B/C");

  const ranks = ["reader", "ci", "admin"] as const;
  for (const needed of ranks) {
    for (const role of ranks) {
      const call = () => authorize("a.B/C", { api: needed }, { kind: "api", ...adminClaims, role });
      if (ranks.indexOf(role) >= ranks.indexOf(needed)) call();
      else expect(call).toThrow(DomainError);
    }
  }
  const owner = { kind: "api", ...adminClaims, role: "reader", instanceAdmin: true } as const;
  authorize("a.B/C", { instanceAdmin: true }, owner);
  expect(() => authorize("a.B/C", { api: "ci" }, owner)).toThrow(DomainError);
  const ingest = { kind: "service", service: "attestation-ingest" } as const;
  authorize("a.B/C", { services: ["attestation-ingest"] }, ingest);
  expect(() => authorize("a.B/C", { api: "reader", services: ["cas-gateway"] }, ingest)).toThrow(DomainError);
});

test("key files: private, kept, and whole when many make them at once", async () => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "keys-"));
  try {
    const [files] = await Promise.all(Array.from({ length: 8 }, () => createKeyFiles(dir)));
    if (files === undefined) throw new Error("no files");
    const file = files.signingKeyFile("cas-gateway");
    const before = await readFile(file, "utf8");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await createKeyFiles(dir);
    expect(await readFile(file, "utf8")).toBe(before);
    const keyring = await Keyring.load({ signingKeyFile: file, jwksFile: files.jwksFile });
    const runKeys = { signingKeyFile: files.signingKeyFile("workflow-run"), jwksFile: files.jwksFile };
    const authenticator = createAuthenticator({ keyring: await Keyring.load(runKeys) });
    expect(await verdict(await keyring.serviceToken("workflow-run"), authenticator)).toBe("service");
    expect(await readFile(files.jwksFile, "utf8")).not.toContain('"d"');
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("rotation: what the former key signed is good until it is removed, and so is what the new one signs", async () => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "keys-"));
  try {
    const files = await createKeyFiles(dir);
    const load = (service: "workflow-run" | "cas-gateway") =>
      Keyring.load({ signingKeyFile: files.signingKeyFile(service), jwksFile: files.jwksFile });
    const judge = async (token: string) => verdict(token, createAuthenticator({ keyring: await load("cas-gateway") }));
    const tokens = [await (await load("workflow-run")).issueApiToken(adminClaims)];
    const kids: string[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const { kid, formerKid } = await rotateKey(dir, "workflow-run");
      expect(kid).not.toBe(formerKid);
      kids.push(formerKid);
      tokens.push(await (await load("workflow-run")).issueApiToken(adminClaims));
    }
    // A start in between changes nothing.
    await createKeyFiles(dir);
    expect(await Promise.all(tokens.map(judge))).toEqual(["api", "api", "api"]);
    expect((await listKeys(dir)).former).toEqual(kids);
    expect((await load("workflow-run")).tokenKeys.map(({ kid }) => kid)).toEqual(expect.arrayContaining(kids));

    expect(await removeFormerKey(dir, kids[0] ?? "")).toBe(true);
    expect(await removeFormerKey(dir, kids[0] ?? "")).toBe(false);
    expect(await removeFormerKey(dir, (await listKeys(dir)).signing[0] ?? "")).toBe(false);
    expect(await Promise.all(tokens.map(judge))).toEqual(["TOKEN_SIGNATURE_INVALID", "api", "api"]);
    expect((await stat(files.signingKeyFile("workflow-run"))).mode & 0o777).toBe(0o600);
    for (const name of ["jwks.json", "former.jwks.json"]) {
      expect(await readFile(path.join(dir, name), "utf8")).not.toContain('"d"');
    }
  } finally {
    await rm(dir, { recursive: true });
  }
});
