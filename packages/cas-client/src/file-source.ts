import { createReadStream } from "node:fs";
import type { OpenSource } from "./upload-source.ts";

const readBytes = 1024 * 1024;

/** A file as the source of an upload, opened when it is read. The iteration throws the faults of the file system. */
export function fileSource(path: string): OpenSource {
  return async function* read(offset) {
    yield* createReadStream(path, { start: offset, highWaterMark: readBytes }) as AsyncIterable<Uint8Array>;
  };
}
