import { createPrivateKey } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createSigningAuthorityFiles, SigningAuthority } from "../src/certificates/index.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "attestry-signing-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("files of one's own", () => {
  test("are made once, whole, by however many at a time, and the key is its owner's", async () => {
    const dir = path.join(folder, "many");
    await Promise.all(Array.from({ length: 8 }, () => createSigningAuthorityFiles(dir)));
    const { certFile, keyFile } = await createSigningAuthorityFiles(dir);
    expect((await readdir(dir)).sort()).toEqual(["signing-ca-key.pem", "signing-ca.pem"]);
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const [cert, key] = [await readFile(certFile, "utf8"), await readFile(keyFile, "utf8")];
    SigningAuthority.load({ cert, key });
    expect(createPrivateKey(key).asymmetricKeyDetails?.namedCurve).toBe("secp384r1");
    await createSigningAuthorityFiles(dir);
    expect(await readFile(certFile, "utf8")).toBe(cert);
    // Cut off between the two.
    await rm(certFile);
    await createSigningAuthorityFiles(dir);
    SigningAuthority.load({ cert: await readFile(certFile, "utf8"), key });
  });

  test("make no new key for a certificate whose key was taken away", async () => {
    const { keyFile } = await createSigningAuthorityFiles(path.join(folder, "taken"));
    await rm(keyFile);
    await createSigningAuthorityFiles(path.join(folder, "taken"));
    await expect(stat(keyFile)).rejects.toThrow("ENOENT");
  });
});
