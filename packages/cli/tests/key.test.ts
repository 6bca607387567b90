import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, jest, test } from "@jest/globals";
import { attestry } from "./run-cli.ts";

jest.setTimeout(60_000);

let dir = "";
afterEach(() => rm(dir, { recursive: true, force: true }));

test("a key is rotated, listed and removed; what is none is refused", async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "cli-keys-"));
  const key = (...args: string[]) => attestry(["key", ...args, "--keys-dir", dir, "-o", "json"]);
  expect((await attestry(["bootstrap", "--keys-dir", dir])).code).toBe(0);
  const { kid, formerKid } = JSON.parse((await key("rotate", "workflow-run")).stdout) as Record<string, string>;
  expect(JSON.parse((await key("list")).stdout)).toMatchObject({
    signing: expect.arrayContaining([kid]),
    former: [formerKid],
  });
  // What is to be given to each service.
  expect((await attestry(["bootstrap", "--keys-dir", dir])).code).toBe(0);
  const given = await readFile(path.join(dir, "cas-gateway", "jwks.json"), "utf8");
  expect([kid, formerKid].map((id) => given.includes(id ?? "?"))).toEqual([true, true]);

  const refused = await key("remove", kid ?? "");
  expect(refused.code).toBe(3);
  expect(refused.stderr).toContain("KEY_NOT_FOUND");
  expect(JSON.parse((await key("remove", formerKid ?? "")).stdout)).toEqual({ removed: formerKid });
  expect(await readFile(path.join(dir, "jwks.json"), "utf8")).not.toContain(formerKid);
  expect((await key("rotate", "nobody")).code).toBe(2);
  expect((await attestry(["key", "list", "--keys-dir", path.join(dir, "none")])).stderr).toContain("FILE_UNWRITABLE");
});
