import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { filesBelow } from "./blobs.ts";
import { type BackendUnderTest, oneDayMs } from "./contract/subject.ts";

/** Backends in a folder of their own. */
export async function startFolder(): Promise<BackendUnderTest & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "attestry-blobs-"));
  return {
    folder,
    open: (prefix, { uploadRetentionMs = oneDayMs } = {}) =>
      new FilesystemBackend({ root: join(folder, prefix), uploadRetentionMs }),
    leftovers: (prefix) => filesBelow(join(folder, prefix)),
    spoil: async (prefix, key, bytes) => {
      const path = join(folder, prefix, key);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    },
    stop: () => rm(folder, { recursive: true, force: true }),
  };
}
