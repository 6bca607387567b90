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
    });
    expect((await secrets.resolve("acme", "_shared/local")).secret).toEqual({ ...filesystem, prefix: "" });
    expect((await secrets.resolve("globex", "_shared/local")).secret).toEqual({ ...filesystem, prefix: "" });
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
  ])("with %s is refused, and its content is not told", async (_name, content, fault) => {
    await put("acme/broken.json", content);
    const refusal = await secrets.resolve("acme", "broken").catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "SECRET_INVALID", message: expect.stringContaining(fault) });
    expect(JSON.stringify([refusal, (refusal as Error).message, (refusal as Error).stack])).not.toContain("hush-hush");
  });
});
