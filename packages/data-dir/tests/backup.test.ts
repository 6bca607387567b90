import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { type BackupOptions, restore } from "../src/index.ts";
import { takeLock } from "../src/lock-file.ts";
import { backUpOf, contentOf, type Place, quiet, rewriteManifest, smallDataDir } from "./small-data-dir.ts";
import { cleanUp, temporaryFolder } from "./temporary-folder.ts";

afterAll(cleanUp);

// Only root may mount, and not everywhere. Tried out of sight of other processes; it ends with the process that tried.
const mountTrial = ["--mount", "mount", "-t", "tmpfs", "tmpfs", tmpdir()];
const testWithMounts = spawnSync("unshare", mountTrial).status === 0 ? test : test.skip;

/** It fails like this, and leaves everything as it was. */
async function expectNoBackup(place: Place, failure: object, options: Partial<BackupOptions> = {}): Promise<void> {
  const before = contentOf(place.folder);
  await expect(backUpOf(place, options)).rejects.toMatchObject(failure);
  // A lock that no process has is taken, and gone after that.
  delete before[path.join("data", "lock")];
  const after = contentOf(place.folder);
  delete after[path.join("data", "lock")];
  expect(after).toEqual(before);
}

describe("a backup", () => {
  test("comes back as it was, without what belongs to a running server", async () => {
    const place = smallDataDir();
    const { dataDir, target, folder } = place;
    const before = contentOf(dataDir);
    let total = 0;
    let bytes = 0;
    const made = await backUpOf(place, {
      onTotal: (all) => {
        total = all;
      },
      onBytes: (more) => {
        bytes += more;
      },
    });
    expect(bytes).toBe(total);
    expect(made).toMatchObject({ files: 6, bytes: total, elsewhere: [] });
    for (const name of readdirSync(target, { recursive: true, encoding: "utf8" })) {
      const stats = statSync(path.join(target, name));
      expect(stats.mode & 0o777).toBe(stats.isDirectory() ? 0o700 : 0o600);
    }

    const restored = path.join(folder, "restored");
    mkdirSync(restored);
    await restore({ ...quiet, backup: target, dataDir: restored });
    for (const name of ["lock", "lost+found", "lost+found/0", "postgres/postgres.log"]) delete before[name];
    delete before["postgres/cluster/postmaster.pid"];
    // The mark by which the server knows.
    expect(contentOf(restored)).toEqual({ ...before, restored: expect.any(String) });
    expect(statSync(path.join(restored, "postgres/cluster/pg_twophase")).mode & 0o777).toBe(0o750);
    expect(statSync(path.join(restored, "version")).mode & 0o777).toBe(0o644);
    expect(statSync(path.join(restored, "cas/bundles/blob")).mtimeMs).toBe(1_700_000_000_000);
  });

  test("says which stores it does not have", async () => {
    const place = smallDataDir();
    const secret = (name: string, content: object | string) => {
      const file = path.join(place.dataDir, "secrets", `${name}.json`);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
    };
    secret("acme/bucket", { provider: "s3", endpoint: "http://minio:9000", bucket: "b" });
    secret("acme/folder", { provider: "filesystem", path: "/srv/cas" });
    secret("acme/here", { provider: "filesystem", path: path.join(place.dataDir, "cas/acme") });
    secret("acme/broken", "{");
    expect((await backUpOf(place)).elsewhere).toEqual(["acme/broken", "acme/bucket", "acme/folder"]);
  });

  test("leads secrets of stores in the data directory to the restored one, by whatever path they name it", async () => {
    const place = smallDataDir();
    const { dataDir, folder, target } = place;
    symlinkSync(dataDir, path.join(folder, "link"));
    const secretsDir = (dir: string) => path.join(dir, "secrets/acme");
    mkdirSync(secretsDir(dataDir));
    const secret = (name: string, content: object) =>
      writeFileSync(path.join(secretsDir(dataDir), `${name}.json`), JSON.stringify(content), { mode: 0o600 });
    const local = { provider: "filesystem", path: "/in/the/container/cas" };
    writeFileSync(path.join(dataDir, "secrets/_shared/local.json"), JSON.stringify(local));
    secret("apart", { provider: "filesystem", path: `${dataDir}-apart` });
    secret("by-link", { provider: "filesystem", path: path.join(folder, "link/cas/acme") });
    secret("here", { provider: "filesystem", path: path.join(dataDir, "cas/acme"), note: "stays" });
    secret("in-container", { provider: "filesystem", path: "/in/the/container/more" });
    const made = await backUpOf({ ...place, dataDir: path.join(folder, "link") });
    expect(made.elsewhere).toEqual(["acme/apart"]);

    const again = path.join(folder, "again");
    const restored = await restore({ ...quiet, backup: target, dataDir: again });
    expect(restored).toMatchObject({
      moved: ["acme/by-link", "acme/here", "acme/in-container"],
      elsewhere: ["acme/apart"],
    });
    const now = (name: string) => JSON.parse(readFileSync(path.join(secretsDir(again), `${name}.json`), "utf8"));
    expect(now("by-link").path).toBe(path.join(again, "cas/acme"));
    expect(now("here")).toEqual({ provider: "filesystem", path: path.join(again, "cas/acme"), note: "stays" });
    expect(now("in-container").path).toBe(path.join(again, "more"));
    expect(now("apart").path).toBe(`${dataDir}-apart`);
    expect(statSync(path.join(secretsDir(again), "here.json")).mode & 0o777).toBe(0o600);
  });

  test("of a copy that nobody adopted, and one of the first format, are restored too", async () => {
    const place = smallDataDir();
    await backUpOf(place);
    rewriteManifest(place.target, { format: 1, dataDirs: undefined });
    const copy = path.join(place.folder, "copy");
    await restore({ ...quiet, backup: place.target, dataDir: copy });
    const target = `${place.target}2`;
    await backUpOf({ ...place, dataDir: copy, target });
    await restore({ ...quiet, backup: target, dataDir: `${copy}2` });
    expect(readdirSync(`${copy}2`)).toContain("restored");
  });

  test("tells of what a killed one left", async () => {
    const place = smallDataDir();
    mkdirSync(`${place.target}.partial-0123`);
    expect((await backUpOf(place)).leftovers).toEqual([`${place.target}.partial-0123`]);
  });
});

describe("no backup", () => {
  test("of a data directory that a server uses", async () => {
    const place = smallDataDir();
    const lock = await takeLock(path.join(place.dataDir, "lock"));
    await expectNoBackup(place, { code: "DATA_DIR_LOCKED" });
    if ("release" in lock) await lock.release();
    await backUpOf(place);
  });

  test("of a folder that is none, or of a newer version; neither is made into one", async () => {
    const place = smallDataDir();
    await expectNoBackup({ ...place, dataDir: path.join(place.folder, "no-such") }, { code: "DATA_DIR_FOREIGN" });
    writeFileSync(path.join(place.dataDir, "version"), "2\n");
    await expectNoBackup(place, { code: "DATA_DIR_NEWER" });
    rmSync(path.join(place.dataDir, "version"));
    await expectNoBackup(place, { code: "DATA_DIR_FOREIGN" });
  });

  test("where something is already", async () => {
    const place = smallDataDir();
    mkdirSync(place.target);
    await expectNoBackup(place, { code: "TARGET_EXISTS" });
  });

  test("inside the data directory, also by way of a link", async () => {
    const place = smallDataDir();
    await expectNoBackup({ ...place, target: path.join(place.dataDir, "backup") }, { code: "TARGET_MISPLACED" });
    const outside = temporaryFolder();
    symlinkSync(place.dataDir, path.join(outside, "link"));
    await expectNoBackup({ ...place, target: path.join(outside, "link/cas/backup") }, { code: "TARGET_MISPLACED" });
  });

  test("where nothing can be written", async () => {
    const failure = {
      code: "FILE_UNWRITABLE",
      message: expect.stringMatching(/^cannot write \/proc\/backup/),
    };
    await expectNoBackup({ ...smallDataDir(), target: "/proc/backup" }, failure);
  });

  testWithMounts("on a disk that gets full", async () => {
    const place = smallDataDir();
    const disk = path.join(place.folder, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], { stdio: "ignore" });
    try {
      const failure = { code: "FILE_UNWRITABLE", message: expect.stringMatching(/no space left$/) };
      await expectNoBackup({ ...place, target: path.join(disk, "backup") }, failure);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  test("of links and other things that no copy has", async () => {
    const place = smallDataDir();
    const link = path.join(place.dataDir, "postgres/cluster/pg_wal");
    symlinkSync("/var/tmp", link);
    const message = `${link} is a symbolic link; a backup has files and folders only`;
    await expect(backUpOf(place)).rejects.toMatchObject({ code: "BACKUP_UNSUPPORTED", message });
    rmSync(link);
    execFileSync("mkfifo", [link]);
    await expect(backUpOf(place)).rejects.toMatchObject({ code: "BACKUP_UNSUPPORTED" });
    expect(readdirSync(place.folder)).toEqual(["data"]);
  });

  test("that was interrupted", async () => {
    const ending = new AbortController();
    const place = smallDataDir();
    const options = { signal: ending.signal, onBytes: () => ending.abort(new Error("enough")) };
    await expectNoBackup(place, { message: "enough" }, options);
  });
});
