import { open } from "node:fs/promises";
import { unreadable } from "./file-errors.ts";

/** The first bytes of a file, some more than `limit` if it has more; `-` is stdin. Throws CommandError FILE_UNREADABLE. */
export async function readAtMost(file: string, limit: number): Promise<Buffer> {
  try {
    if (file === "-") return await firstBytes(process.stdin, limit);
    await using handle = await open(file, "r");
    return await firstBytes(handle.createReadStream({ autoClose: false }), limit);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

async function firstBytes(stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size >= limit) break;
  }
  return Buffer.concat(chunks);
}

/** Whether there is nothing but space, tab, line feed, carriage return: what JSON (RFC 8259 section 2) takes for blank. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
}
