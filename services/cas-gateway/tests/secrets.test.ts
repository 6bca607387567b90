import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Secrets } from "../src/secrets/secrets.ts";

const filesystem = { provider: "filesystem", path: "/srv/blobs" };
const s3 = {
  provider: "s3",
  endpoint: "http://127.0.0.1:9000",
  region: "eu-1",
  bucket: "blobs",
  accessKey: "key",
  secretKey: "hush-hush",
  prefix: "deep/er",
};

/** Of an authority that was made for this, and whose key was thrown away. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUd8PwSMmmijBmflDIaxoiH5I5jjEwCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXQXR0ZXN0cnkgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI1MDMx
NDQxWhgPMjEyNjExMDEwMzE0NDFaMCIxIDAeBgNVBAMMF0F0dGVzdHJ5IHRlc3Qg
YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiN5Soj0qhRVMqj/h
pK0Ld5rtLl1GU2S4klgvs/mZNwcen/msTs/QMWitqj+kNMseNXFIapf6ycOy/WFq
uwQW8aNTMFEwHQYDVR0OBBYEFGRpbOHoIgYRalay54JVjCIYTr9qMB8GA1UdIwQY
MBaAFGRpbOHoIgYRalay54JVjCIYTr9qMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSQAwRgIhAPCxfIehL3i0KcjOBWoO4xsew+K3DR3ITgd1IcLy1JyHAiEA
3/kohauDGcxuFy34A4r1JGxUzQz5g9P3GRScJ1Agyus=
-----END CERTIFICATE-----`;
const brokenCertificate = "-----BEGIN CERTIFICATE-----\naHVzaC1odXNo\n-----END CERTIFICATE-----";

let dir: string;
let secrets: Secrets;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "attestry-secrets-"));
  secrets = new Secrets(dir);
  for (const folder of ["acme", "globex", "_shared"]) await mkdir(join(dir, folder));
  await writeFile(join(dir, "outside.json"), JSON.stringify(filesystem));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const put = (file: string, content: unknown) =>
  writeFile(join(dir, file), typeof content === "string" ? content : JSON.stringify(content));

describe("a secret reference", () => {
  test("names a file of the organization, or one that all share", async () => {
    await put("acme/main.json", s3);
    await put("_shared/local.json", filesystem);
    expect((await secrets.resolve("acme", "main")).secret).toEqual({
      ...s3,
      endpoint: new URL(s3.endpoint),
      prefix: "deep/er/",
      pathStyle: true,
      ca: undefined,
      sse: undefined,
      objectLockMode: "COMPLIANCE",
    });
    expect((await secrets.resolve("acme", "_shared/local")).secret).toEqual({ ...filesystem, prefix: "" });
    expect((await secrets.resolve("globex", "_shared/local")).secret).toEqual({ ...filesystem, prefix: "" });
  });

  test("may trust an authority, have what is written encrypted, and name the bucket in the host", async () => {
    const secure = { ...s3, endpoint: "https://store.example.test", pathStyle: false };
    await put("acme/secure.json", { ...secure, ca: `of the house\n${certificate}\n${certificate}`, sse: "AES256" });
    expect((await secrets.resolve("acme", "secure")).secret).toMatchObject({
      pathStyle: false,
      ca: `${certificate}\n${certificate}`,
      sse: "AES256",
    });
    await put("acme/governed.json", { ...s3, objectLockMode: "GOVERNANCE" });
    expect((await secrets.resolve("acme", "governed")).secret).toMatchObject({ objectLockMode: "GOVERNANCE" });
    await put("acme/kms.json", { ...s3, sse: { kms: "arn:aws:kms:eu-1:1:key/2" } });
    expect((await secrets.resolve("acme", "kms")).secret).toMatchObject({ sse: { kms: "arn:aws:kms:eu-1:1:key/2" } });
  });

  test.each([
    "main",
    "../acme/main",
    "../outside",
    "acme/main",
    "_shared/../acme/main",
    "_shared/",
    "",
    ".",
    "..",
    "/etc/passwd",
    "Main",
    "main.json",
    "_shared",
  ])("%j leads globex nowhere", async (ref) => {
    await put("acme/main.json", s3);
    await expect(secrets.resolve("globex", ref)).rejects.toMatchObject({
      code: "SECRET_INVALID",
      metadata: { secret_ref: ref },
    });
  });

  test.each(["..", "../acme", "_shared", ""])("an organization named %j has none", async (organization) => {
    await expect(secrets.resolve(organization, "main")).rejects.toMatchObject({ code: "SECRET_INVALID" });
  });

  test("is read again when its file changed", async () => {
    await put("acme/changing.json", filesystem);
    const before = await secrets.resolve("acme", "changing");
    expect(await secrets.resolve("acme", "changing")).toBe(before);
    await put("acme/changing.json", { ...filesystem, path: "/srv/other" });
    await utimes(join(dir, "acme/changing.json"), new Date(), new Date(Date.now() + 5_000));
    const after = await secrets.resolve("acme", "changing");
    expect(after.version).not.toBe(before.version);
    expect(after.secret).toMatchObject({ path: "/srv/other" });
  });

  test.each([
    ["no JSON", "hush-hush {", "it is not JSON"],
    ["a list", [], "it is not a JSON object"],
    ["no provider", { path: "/x" }, "provider must be"],
    ["another provider", { ...s3, provider: "ftp" }, "provider must be"],
    ["a relative path", { ...filesystem, path: "blobs" }, "path must be absolute"],
    ["no bucket", { ...s3, bucket: undefined }, "bucket must be"],
    ["a bucket that climbs", { ...s3, bucket: "../x" }, "bucket must be"],
    ["an endpoint without a scheme", { ...s3, endpoint: "127.0.0.1:9000" }, "endpoint must be"],
    ["an endpoint with a path", { ...s3, endpoint: "http://127.0.0.1:9000/x" }, "endpoint must be"],
    ["a prefix that climbs", { ...s3, prefix: "a/../.." }, "prefix must be"],
    ["an absolute prefix", { ...filesystem, prefix: "/a" }, "prefix must be"],
    ["a secret key that is no text", { ...s3, secretKey: 1 }, "secretKey must be"],
    ["a path style that is no truth value", { ...s3, pathStyle: "no" }, "pathStyle must be"],
    ["an authority that is no certificate", { ...s3, endpoint: "https://h", ca: "hush-hush" }, "ca must be"],
    ["an authority that is a file", { ...s3, endpoint: "https://h", ca: "/etc/hush-hush.pem" }, "ca must be"],
    ["an authority that is no text", { ...s3, endpoint: "https://h", ca: [certificate] }, "ca must be"],
    ["an authority that is broken", { ...s3, endpoint: "https://h", ca: brokenCertificate }, "ca must be"],
    ["an authority for no TLS", { ...s3, ca: certificate }, "ca is for an https endpoint only"],
    ["an unknown encryption", { ...s3, sse: "hush-hush" }, "sse must be"],
    ["an encryption without a key", { ...s3, sse: { kms: "" } }, "sse must be"],
    ["an encryption with more than a key", { ...s3, sse: { kms: "a", context: "hush-hush" } }, "sse must be"],
    ["an unknown mode of Object Lock", { ...s3, objectLockMode: "hush-hush" }, "objectLockMode must be"],
    ["an encryption in a list", { ...s3, sse: ["AES256"] }, "sse must be"],
    ["a key that breaks the line", { ...s3, sse: { kms: "a\r\nx-hush-hush: 1" } }, "sse must be"],
  ])("with %s is refused, and its content is not told", async (_name, content, fault) => {
    await put("acme/broken.json", content);
    const refusal = await secrets.resolve("acme", "broken").catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "SECRET_INVALID", message: expect.stringContaining(fault) });
    expect(JSON.stringify([refusal, (refusal as Error).message, (refusal as Error).stack])).not.toContain("hush-hush");
  });
});
