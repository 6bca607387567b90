import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ByteStream } from "@attestry/api/bytestream";
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { downloadToFile } from "../src/index.ts";

const mebibyte = 1024 * 1024;
const bytes = randomBytes(4 * mebibyte);
const sizeBytes = bytes.byteLength;
const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let folder: string;
let target: string;
let left: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-download-"));
  target = path.join(folder, "target");
  left = path.join(folder, `.target.${digest.slice(7, 19)}.0123abcd.part`);
});

afterEach(() => rm(folder, { recursive: true }));

/** @param step called before each chunk with the number of the call and the position */
function gateway(step: (call: number, at: number) => Promise<void> | void): Transport {
  let calls = 0;
  return createRouterTransport((router) =>
    router.service(ByteStream, {
      async *read({ readOffset }) {
        const call = ++calls;
        for (let at = Number(readOffset); at < sizeBytes; at += mebibyte) {
          await step(call, at);
          yield { data: bytes.subarray(at, at + mebibyte) };
        }
      },
    }),
  );
}

function download(transport: Transport): Promise<void> {
  return downloadToFile(transport, { token: "t", digest, sizeBytes, path: target, stallMs: 0 });
}

describe("two downloads to one file", () => {
  test("where one finds that what was kept is wrong while the other is under way, both are right", async () => {
    await writeFile(left, Buffer.alloc(mebibyte));
    const [firstIsHalf, firstMayGoOn, secondMayGoOn] = [gate(), gate(), gate()];
    const second = download(
      gateway(async (call) => {
        if (call === 2) throw new ConnectError("gone", Code.NotFound);
        await secondMayGoOn.promise;
      }),
    );
    await waitFor(async () => (await readdir(folder)).length > 0);
    const first = download(
      gateway(async (call, at) => {
        if (call !== 2 || at !== 2 * mebibyte) return;
        firstIsHalf.resolve();
        await firstMayGoOn.promise;
      }),
    );
    await firstIsHalf.promise;
    secondMayGoOn.resolve();
    await expect(second).rejects.toMatchObject({ code: Code.NotFound });
    firstMayGoOn.resolve();
    await first;
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(["target"]);
  });

  test("where the other has finished and removed its file, one still finishes", async () => {
    const [isHalf, mayGoOn] = [gate(), gate()];
    const slow = download(
      gateway(async (_call, at) => {
        if (at !== 2 * mebibyte) return;
        isHalf.resolve();
        await mayGoOn.promise;
      }),
    );
    await isHalf.promise;
    await download(gateway(() => undefined));
    expect(await readdir(folder)).toEqual(["target"]);
    await rm(target);
    mayGoOn.resolve();
    await slow;
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(["target"]);
  });
});

test("of downloads that were killed one after another, only the one that got furthest stays", async () => {
  const prefix = path.join(folder, `.target.${digest.slice(7, 19)}`);
  await writeFile(`${prefix}.0a0a0a0a.part`, bytes.subarray(0, mebibyte));
  await writeFile(`${prefix}.0b0b0b0b.part`, bytes.subarray(0, 3 * mebibyte));
  await writeFile(`${prefix}.0c0c0c0c.part`, bytes.subarray(0, 2 * mebibyte));
  const [isUnderWay, mayGoOn] = [gate(), gate()];
  const downloading = download(
    gateway(async (_call, at) => {
      expect(at).toBe(3 * mebibyte);
      isUnderWay.resolve();
      await mayGoOn.promise;
    }),
  );
  await isUnderWay.promise;
  const names = await readdir(folder);
  expect(names).toHaveLength(2);
  expect(names).toContain(path.basename(`${prefix}.0b0b0b0b.part`));
  mayGoOn.resolve();
  await downloading;
  expect(await readdir(folder)).toEqual(["target"]);
});

test("downloads that fail one after another keep one file, the one that got furthest", async () => {
  await writeFile(path.join(folder, `.target.${digest.slice(7, 19)}.0a0a0a0a.part`), randomBytes(sizeBytes + 1));
  const offsets: number[] = [];
  for (const failAt of [mebibyte, 3 * mebibyte, 3 * mebibyte]) {
    const failing = download(
      gateway((_call, at) => {
        offsets.push(at);
        if (at === failAt) throw new ConnectError("gone", Code.PermissionDenied);
      }),
    );
    await expect(failing).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(await readdir(folder)).toHaveLength(1);
  }
  await download(gateway(() => undefined));
  expect((await readFile(target)).equals(bytes)).toBe(true);
  expect(await readdir(folder)).toEqual(["target"]);
  expect(offsets.map((at) => at / mebibyte)).toEqual([0, 1, 1, 2, 3, 3]);
});

function gate(): PromiseWithResolvers<void> {
  return Promise.withResolvers<void>();
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
