import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { attestry } from "./run-cli.ts";

jest.setTimeout(60_000);

let folder = "";
let dataDir = "";
let target = "";

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-backup-"));
  dataDir = path.join(folder, "data");
  target = path.join(folder, "backup");
  await mkdir(path.join(dataDir, "cas"), { recursive: true });
  await writeFile(path.join(dataDir, "version"), "1\n");
  await writeFile(path.join(dataDir, "cas/blob"), "blob");
});

afterEach(() => rm(folder, { recursive: true }));

/** A file that takes a while to copy. */
async function makeLarge(): Promise<void> {
  const handle = await open(path.join(dataDir, "cas/large"), "w");
  await handle.truncate(4 * 1024 ** 3);
  await handle.close();
}

const partials = () => readdirSync(folder).filter((name) => name.startsWith("backup.partial-"));

test("a data directory is backed up and restored; -o json says what was done", async () => {
  const made = await attestry(["backup", target, "--data-dir", dataDir]);
  expect(made.stderr).toBe(`${target} holds keys, secrets and the first token: keep it as safe as the server\n`);
  expect(made.stdout).toMatch(new RegExp(`^backup +${target}\ncreated +\\S+Z\nfiles +2\nbytes +6\n$`));
  expect(made.code).toBe(0);

  await rm(dataDir, { recursive: true });
  const env = { ATTESTRY_DATA_DIR: dataDir };
  const restored = await attestry(["restore", target, "-o", "json"], { env });
  expect(JSON.parse(restored.stdout)).toMatchObject({
    dataDir,
    attestryVersion: "0.1.0",
    files: 2,
    folders: 1,
    bytes: 6,
  });
  const next = new RegExp(
    `^tokens revoked since \\S+Z are valid again: .*\nnext: npm start -- --data-dir ${dataDir}; it deletes nothing until .*--adopt`,
  );
  expect(restored.stderr).toMatch(next);
  expect(restored.code).toBe(0);
  expect(await readFile(path.join(dataDir, "cas/blob"), "utf8")).toBe("blob");

  const again = await attestry(["backup", `${target}2`, "-o", "json"], { env });
  const counts = { files: 2, folders: 1, bytes: 6, elsewhere: [], leftovers: [] };
  expect(JSON.parse(again.stdout)).toMatchObject({ target: `${target}2`, ...counts });
});

test("what is refused says why, what to do about it, and its exit code", async () => {
  await writeFile(path.join(dataDir, "lock"), JSON.stringify({ pid: process.pid }));
  const locked = await attestry(["backup", target, "--data-dir", dataDir]);
  expect(locked.stderr).toBe(
    `error: the data directory ${dataDir} is in use by a running Attestry (process ${process.pid}) (DATA_DIR_LOCKED)\n` +
      "hint: stop the server and wait until it has ended\n",
  );
  expect(locked.code).toBe(1);
  await rm(path.join(dataDir, "lock"));

  const nowhere = await attestry(["backup", path.join(folder, "no/such"), "--data-dir", dataDir]);
  expect(nowhere.stderr).toContain(`there is no folder ${path.join(folder, "no")}; make it first (FILE_UNWRITABLE)`);

  const none = await attestry(["backup", target], { cwd: folder, env: { ATTESTRY_DATA_DIR: "none" } });
  expect(none.stderr).toContain("is no data directory of Attestry: there is no such folder (DATA_DIR_FOREIGN)\n");
  expect(none.code).toBe(1);

  await attestry(["backup", target, "--data-dir", dataDir]);
  await writeFile(path.join(target, "data/cas/blob"), "blab");
  const damaged = await attestry(["restore", target, "--data-dir", `${dataDir}2`]);
  expect(damaged.stderr).toMatch(/cas\/blob is damaged: expected 4 bytes with sha256:.*\(BACKUP_CORRUPT\)\n$/);
  expect(damaged.code).toBe(6);
  expect(existsSync(`${dataDir}2`)).toBe(false);
});

test("an interruption leaves nothing", async () => {
  await makeLarge();
  const interruptWhen = () => partials().length > 0;
  const { stderr, code } = await attestry(["backup", target, "--data-dir", dataDir], { interruptWhen });
  expect(stderr).toBe("error: interrupted (INTERRUPTED)\n");
  expect(code).toBe(130);
  expect(readdirSync(folder)).toEqual(["data"]);
  expect(readdirSync(dataDir).sort()).toEqual(["cas", "version"]);
});

test("the end of the time given leaves nothing", async () => {
  await makeLarge();
  const { stderr, code } = await attestry(["backup", target, "--data-dir", dataDir, "--timeout", "1ms"]);
  expect(stderr).toMatch(/^error: not done in the time given \(TIMED_OUT\)\n/);
  expect(code).toBe(5);
  expect(readdirSync(folder)).toEqual(["data"]);
});

test("a kill leaves no backup under its name; the next one tells of what was left", async () => {
  await makeLarge();
  await attestry(["backup", target, "--data-dir", dataDir], { killWhen: () => partials().length > 0 });
  const [left] = partials();
  expect(existsSync(target)).toBe(false);
  await rm(path.join(dataDir, "cas/large"));
  const { stderr, code } = await attestry(["backup", target, "--data-dir", dataDir]);
  expect(stderr).toContain(`unless another backup is at work: ${target}`);
  expect(stderr).toContain(`${left} is left of one that was killed\n`);
  expect(code).toBe(0);
});
