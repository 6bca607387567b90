import { createHash, randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { write } from "../output/write.ts";
import { unwritable } from "./file-errors.ts";

// Up to this size, bytes for stdout are held until their digest is known.
const heldBytes = 64 * 1024 * 1024;

export interface Expected {
  /** `sha256:<hex>`. */
  digest: string;
  sizeBytes: number;
}

/**
 * Writes bytes to a file that appears under its name only when all have come and their digest is right; `-` is
 * stdout, which gets nothing before that either, up to 64 MiB. Throws CommandError CONTENT_CORRUPT and FILE_UNWRITABLE.
 */
export async function writeVerified(
  target: string,
  expected: Expected,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  if (target === "-") await writeToStdout(expected, bytes);
  else await writeToFile(target, expected, bytes);
}

/** The bytes, in memory, once all have come and their digest is right. Throws CommandError CONTENT_CORRUPT. */
export async function readVerified(expected: Expected, bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of checked(expected, bytes)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function writeToStdout(expected: Expected, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const held: Uint8Array[] = [];
  for await (const chunk of checked(expected, bytes)) {
    if (expected.sizeBytes <= heldBytes) held.push(chunk);
    else await write(process.stdout, chunk);
  }
  for (const chunk of held) await write(process.stdout, chunk);
}

async function writeToFile(target: string, expected: Expected, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}.part`);
  const fail = (cause: unknown): never => {
    throw unwritable(target, cause);
  };
  const handle = await open(partial, "wx").catch(fail);
  try {
    try {
      for await (const chunk of checked(expected, bytes)) await handle.writeFile(chunk).catch(fail);
    } finally {
      await handle.close();
    }
    await rename(partial, target).catch(fail);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function* checked(expected: Expected, bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.byteLength;
    yield chunk;
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (size !== expected.sizeBytes || actual !== expected.digest) {
    throw new CommandError(
      "CONTENT_CORRUPT",
      `expected ${expected.sizeBytes} bytes with the digest ${expected.digest}, got ${size} with ${actual}; nothing was written`,
      { exitCode: exitCodes.corrupt },
    );
  }
}
