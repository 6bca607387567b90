import type { BigIntStats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hashOf } from "../blobs/hash-of.ts";
import { backendUnavailable, type Range } from "./backend.ts";
import { throwFault } from "./filesystem-errors.ts";

/** Bytes of one read. */
const chunkBytes = 1024 * 1024;

/** A range of a file of that size, in chunks of 1 MiB, the next of which is read while one is looked at. */
export async function* readChunks(
  file: FileHandle,
  range: Range,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const end = range.length === undefined ? sizeBytes : Math.min(sizeBytes, range.offset + range.length);
  let next = readAhead(file, range.offset, end, signal);
  for (let position = range.offset; next !== undefined; ) {
    const chunk = await next;
    position += chunk.byteLength;
    next = readAhead(file, position, end, signal);
    yield chunk;
  }
}

/** The SHA-256 of what a path leads to, and which file it was as the reading began. Throws the faults of the system as they are. */
export async function hashOfFile(path: string, signal: AbortSignal): Promise<{ hex: string; file: BigIntStats }> {
  const handle = await open(path, "r");
  try {
    const file = await handle.stat({ bigint: true });
    const whole = { offset: 0, length: undefined };
    const { hex } = await hashOf(readChunks(handle, whole, Number(file.size), signal));
    return { hex, file };
  } finally {
    await handle.close();
  }
}

function readAhead(file: FileHandle, position: number, end: number, signal: AbortSignal): Promise<Buffer> | undefined {
  if (position >= end) return undefined;
  const reading = readChunk(file, position, Math.min(chunkBytes, end - position), signal);
  // If nobody asks for it any more, nobody hears of its fault.
  reading.catch(() => undefined);
  return reading;
}

async function readChunk(file: FileHandle, position: number, length: number, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  const reading = file.read(Buffer.allocUnsafeSlow(length), 0, length, position);
  const { bytesRead, buffer } = await reading.catch((error: unknown) => {
    // Whoever aborts may close the file at once.
    signal.throwIfAborted();
    throwFault(error);
  });
  signal.throwIfAborted();
  if (bytesRead === 0) throw backendUnavailable("a file ended before its size", undefined);
  return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
}
