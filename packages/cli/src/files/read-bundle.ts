import { open } from "node:fs/promises";
import { CommandError } from "../errors.ts";
import { unreadable } from "./file-errors.ts";

/** The most that a bundle may have, in bytes: the server's limit, known here so that nothing is sent in vain. */
const bundleLimitBytes = 32 * 1024 * 1024;

/**
 * The bytes of a bundle, exactly as they are; `-` is stdin. Refuses here what no server takes, so that no run is
 * started for it. Throws CommandError BUNDLE_EMPTY, BUNDLE_TOO_LARGE, FILE_UNREADABLE.
 */
export async function readBundle(file: string): Promise<Uint8Array> {
  const bytes = await readAtMost(file, bundleLimitBytes + 1);
  const name = file === "-" ? "stdin" : file;
  if (bytes.byteLength > bundleLimitBytes) {
    throw new CommandError(
      "BUNDLE_TOO_LARGE",
      `expected a bundle of at most ${bundleLimitBytes} bytes, ${name} has more`,
    );
  }
  if (bytes.every(isBlank)) {
    const what = bytes.byteLength === 0 ? "is empty" : "holds nothing but blanks";
    throw new CommandError("BUNDLE_EMPTY", `expected a bundle, ${name} ${what}`);
  }
  return bytes;
}

async function readAtMost(file: string, limit: number): Promise<Buffer> {
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

// Space, tab, line feed, carriage return: what JSON (RFC 8259 section 2) takes for blank.
function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
