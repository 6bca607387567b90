import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Authority } from "@attestry/service-kit/certificates";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { prepareCertificates } from "../src/tls/own-certificates.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "own-certificates-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const read = (name: string) => readFile(path.join(dir, name), "utf8");

test("what was made stays, and is made anew for another name", async () => {
  const first = await prepareCertificates(dir, "127.0.0.1");
  const before = [await read("cert.pem"), await read("ca.pem")];
  expect(await prepareCertificates(dir, "127.0.0.1")).toEqual(first);
  expect([await read("cert.pem"), await read("ca.pem")]).toEqual(before);
  await prepareCertificates(dir, "attestry.example.test");
  expect(await read("cert.pem")).not.toBe(before[0]);
  expect(await read("ca.pem")).toBe(before[1]);
});

test("an operator's certificate that takes the place of one that was made is never written over", async () => {
  await prepareCertificates(dir, "127.0.0.1");
  const { authority } = await Authority.create("an operator's");
  const { cert, key } = await authority.issue({ names: ["attestry.test"], until: new Date(Date.now() + 86_400_000) });
  await writeFile(path.join(dir, "cert.pem"), cert);
  await writeFile(path.join(dir, "key.pem"), key);
  const taken = await prepareCertificates(dir, "127.0.0.1");
  expect(taken).toMatchObject({ certFile: path.join(dir, "cert.pem"), trustFile: undefined });
  expect([await read("cert.pem"), await read("key.pem")]).toEqual([cert, key]);
});
