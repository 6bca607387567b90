import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { isPlainPath } from "../src/backup/manifest.ts";
import { restore } from "../src/index.ts";
import {
  backUpOf,
  contentOf,
  type Place,
  quiet,
  rewriteList,
  rewriteManifest,
  smallDataDir,
} from "./small-data-dir.ts";
import { cleanUp } from "./temporary-folder.ts";

afterAll(cleanUp);

describe("nothing is restored", () => {
  /** Of a backup that was changed like this. */
  async function expectRefused(change: (place: Place) => void, failure: object): Promise<void> {
    const place = smallDataDir();
    await backUpOf(place);
    rmSync(place.dataDir, { recursive: true });
    change(place);
    const there = contentOf(place.folder);
    const { dataDir, target: backup } = place;
    await expect(restore({ ...quiet, backup, dataDir })).rejects.toMatchObject(failure);
    expect(contentOf(place.folder)).toEqual(there);
  }

  const blob = ({ target }: Place) => path.join(target, "data/cas/bundles/blob");
  const corrupt = (message: RegExp) => ({ code: "BACKUP_CORRUPT", message: expect.stringMatching(message) });
  const malformed = (message: RegExp) => ({
    code: "BACKUP_MALFORMED",
    message: expect.stringMatching(new RegExp(`${message.source}.*; nothing was restored$`)),
  });
  const sizeAndDigest = "\\d+ bytes with sha256:[0-9a-f]{64}";

  test("of a file with another byte", async () => {
    const damaged = new RegExp(`cas/bundles/blob is damaged: expected ${sizeAndDigest}, came ${sizeAndDigest};`);
    await expectRefused((place) => {
      const bytes = readFileSync(blob(place));
      bytes[50_000] = 0;
      writeFileSync(blob(place), bytes);
    }, corrupt(damaged));
  });

  test("of a file that is shorter", async () => {
    await expectRefused(
      (place) => truncateSync(blob(place), 99_999),
      corrupt(/expected 100000 bytes .*, came 99999 bytes/),
    );
  });

  test("of a file that is missing", async () => {
    const missing = new RegExp(`cas/bundles/blob is missing: expected ${sizeAndDigest};`);
    await expectRefused((place) => rmSync(blob(place)), corrupt(missing));
  });

  test("of a list that is damaged or missing", async () => {
    const list = ({ target }: Place) => path.join(target, "files.jsonl");
    await expectRefused((place) => appendFileSync(list(place), "\n"), corrupt(/files\.jsonl is damaged/));
    await expectRefused((place) => rmSync(list(place)), corrupt(/files\.jsonl is missing/));
  });

  test("of a manifest that is missing, cut short, newer, or says something else", async () => {
    const manifest = ({ target }: Place) => path.join(target, "manifest.json");
    await expectRefused((place) => rmSync(manifest(place)), malformed(/is no backup of Attestry/));
    await expectRefused((place) => truncateSync(manifest(place), 60), malformed(/manifest\.json is no JSON/));
    await expectRefused((place) => rewriteManifest(place.target, { format: 3, more: true }), {
      code: "BACKUP_NEWER",
      message: "the backup has the format 3, this Attestry reads 2: update Attestry",
    });
    await expectRefused((place) => rewriteManifest(place.target, { more: true }), malformed(/came "more"/));
    await expectRefused((place) => rewriteManifest(place.target, { files: 7 }), malformed(/6 files, .* says 7/));
    await expectRefused((place) => rewriteManifest(place.target, { bytes: -1 }), malformed(/bytes must be/));
    await expectRefused((place) => rewriteManifest(place.target, { dataDirs: ["a"] }), malformed(/absolute paths/));
  });

  test("with a file more", async () => {
    await expectRefused(
      ({ target }) => writeFileSync(path.join(target, "data/cas/more"), ""),
      malformed(/cas\/more is not of this backup/),
    );
    await expectRefused(
      ({ target }) => writeFileSync(path.join(target, "more"), ""),
      malformed(/more is not of this backup/),
    );
  });

  test("of links and other things in the backup", async () => {
    const swap = (make: (file: string, aside: string) => void) => (place: Place) => {
      const aside = path.join(place.folder, "aside");
      renameSync(blob(place), aside);
      make(blob(place), aside);
    };
    await expectRefused(
      swap((file, aside) => symlinkSync(aside, file)),
      malformed(/is a symbolic link/),
    );
    await expectRefused(
      swap((file) => execFileSync("mkfifo", [file])),
      malformed(/is no regular file/),
    );
    await expectRefused(
      (place) => {
        const folder = path.dirname(blob(place));
        renameSync(folder, path.join(place.folder, "aside"));
        symlinkSync(path.join(place.folder, "aside"), folder);
      },
      malformed(/cas\/bundles is a symbolic link/),
    );
  });

  test.each(["../escaped", "/tmp/escaped", "cas/../../escaped", "cas//blob", "./cas", "cas/", "", "a\\b", "a\0b"])(
    "of a list with the path %j",
    async (bad) => {
      const rename = (line: string) => JSON.stringify({ ...(JSON.parse(line) as object), path: bad });
      await expectRefused(
        ({ target }) => rewriteList(target, ([first = "", ...rest]) => [rename(first), ...rest]),
        malformed(/files\.jsonl, line 1: path must be relative/),
      );
      expect(isPlainPath(bad)).toBe(false);
    },
  );

  test("of a list with a line twice, out of order, too long, or with more in it", async () => {
    const list = (change: (lines: string[]) => string[], expected: RegExp) =>
      expectRefused(({ target }) => rewriteList(target, change), malformed(expected));
    await list(
      (lines) => [...lines, lines.find((line) => line.includes("blob")) ?? ""],
      /has cas\/bundles\/blob twice/,
    );
    await list((lines) => [...lines, lines.find((line) => line.includes('"cas"')) ?? ""], /has cas twice/);
    await list((lines) => lines.toReversed(), /without its folder/);
    await list((lines) => [`${lines[0]}${" ".repeat(100_000)}`, ...lines.slice(1)], /line 1 has more than/);
    await list((lines) => [...lines, '{"kind":"link"}'], /path must be relative/);
    await list((lines) => [...lines, '{"kind":"link","path":"a","mode":"0777"}'], /kind must be file or folder/);
    await list((lines) => [...lines, '{"kind":"folder","path":"a","mode":"0577"}'], /mode of a folder must be 07xx/);
    await list((lines) => [...lines, '{"kind":"folder","path":"a","mode":"4777"}'], /mode must match/);
    await list((lines) => [...lines, '{"kind":"folder","path":"a","mode":"0777","x":1}'], /came "x"/);
    await list((lines) => [...lines, "[]"], /must be a JSON object/);
  });

  test("where something is, in the backup itself, or where there is no folder", async () => {
    await expectRefused(
      ({ dataDir }) => {
        mkdirSync(dataDir);
        writeFileSync(path.join(dataDir, "letter.txt"), "Dear");
      },
      { code: "TARGET_EXISTS", message: expect.stringContaining("it has letter.txt") },
    );
    await expectRefused(({ dataDir }) => writeFileSync(dataDir, "Dear"), { code: "TARGET_EXISTS" });
    const place = smallDataDir();
    await backUpOf(place);
    const { target: backup } = place;
    const to = (dataDir: string) => restore({ ...quiet, backup, dataDir });
    await expect(to(path.join(backup, "data/again"))).rejects.toMatchObject({ code: "TARGET_MISPLACED" });
    await expect(to("/proc/no/such")).rejects.toMatchObject({
      code: "FILE_UNWRITABLE",
      message: "cannot make /proc/no/such: there is no folder /proc/no; make it first",
    });
    await expect(restore({ ...quiet, backup: "/no/such", dataDir: "/tmp/never" })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
    });
  });

  test("when it is interrupted", async () => {
    const place = smallDataDir();
    await backUpOf(place);
    const ending = new AbortController();
    const onBytes = () => ending.abort(new Error("enough"));
    const dataDir = path.join(place.folder, "restored");
    const interrupted = restore({ ...quiet, backup: place.target, dataDir, signal: ending.signal, onBytes });
    await expect(interrupted).rejects.toThrow("enough");
    expect(readdirSync(place.folder).sort()).toEqual(["backup", "data"]);
  });
});
