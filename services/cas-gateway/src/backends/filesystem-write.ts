import { randomUUID } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { DomainError, reasonOf } from "@attestry/service-kit";
import { itemsUntilAborted } from "../blobs/abortable.ts";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import { joined } from "../blobs/joined.ts";
import { verified } from "../blobs/verified.ts";
import { isStale } from "../retention/keeping.ts";
import { backendUnavailable, type WriteOptions, type WriteOutcome } from "./backend.ts";
import { codeOf } from "./error-code.ts";
import { throwFault } from "./filesystem-errors.ts";
import type { FileNames } from "./filesystem-names.ts";
import { PartialFile } from "./filesystem-partial.ts";
import { hashOfFile, readChunks } from "./filesystem-read.ts";
import { type Partial, removeFiles, type Uploads } from "./filesystem-uploads.ts";
import type { Folders } from "./folders.ts";

export interface Place {
  root: string;
  folders: Folders;
  uploads: Uploads;
  names: FileNames;
  uploadRetentionMs: number;
}

/** Up to that many bytes, looking whether the blob is there costs less than to write it. */
const lookedForBytes = 1024 * 1024;

/** `Backend.write` for a folder. */
export async function writeFile(
  place: Place,
  key: string,
  blob: BlobQuery,
  source: AsyncIterable<Uint8Array>,
  { signal, resumable, keeping, fileName }: WriteOptions,
): Promise<WriteOutcome> {
  signal.throwIfAborted();
  const to = join(place.root, key);
  const uploadId = resumable?.uploadId ?? randomUUID();
  const offset = resumable?.offset ?? 0;
  const kept = resumable === undefined ? [] : await place.uploads.of(key, blob, uploadId).catch(throwFault);
  const keptBytes = kept[0]?.sizeBytes ?? 0;
  if (offset > keptBytes) throw offsetInvalid(offset, keptBytes);
  if (offset === 0) await removePartials(kept.splice(0)).catch(throwFault);

  const partial = await createPartial(place, key, blob, uploadId, signal);
  try {
    const bytes = joined(firstBytes(kept[0], offset, signal), itemsUntilAborted(source, signal));
    let sizeBytes = 0;
    for await (const chunk of verified(bytes, blob)) {
      sizeBytes += chunk.byteLength;
      await partial.append(chunk);
    }
    const proven = { hex: blob.hex, sizeBytes };
    if (await holds(place, to, proven, { signal, keeping })) {
      await removePartials([partial, ...kept]).catch(() => undefined);
      return "existed";
    }
    await partial.sync();
    signal.throwIfAborted();
    if (fileName !== undefined) await place.names.give(key, proven, fileName, signal);
    await makeVisible(place, partial.path, to, signal);
    // The blob is stored, whatever becomes of these: what is not removed here is swept.
    await removePartials(kept).catch(() => undefined);
    return "stored";
  } catch (error) {
    const keep = mayKeepAfter(error) && resumable?.keepAfter(error) === true;
    const useless = keep ? await allButLongest(partial, kept) : [partial, ...kept];
    await removePartials(useless).catch(() => undefined);
    throw error;
  } finally {
    await partial.close().catch(() => undefined);
  }
}

async function createPartial(
  { folders, uploads, uploadRetentionMs }: Place,
  key: string,
  blob: BlobQuery,
  uploadId: string,
  signal: AbortSignal,
): Promise<PartialFile> {
  const path = uploads.newPath(key, blob, uploadId);
  const opening = folders.orCreatingParent(path, () => open(path, "wx", 0o600), signal);
  return new PartialFile(path, await opening.catch(throwFault), uploadRetentionMs);
}

/** What is kept of an upload up to the offset, which only grows there: whoever else writes to it leaves these as they are. */
async function* firstBytes(
  kept: Partial | undefined,
  length: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  if (kept === undefined) return;
  const file = await open(kept.path, "r").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") throw takenAway(error);
    throwFault(error);
  });
  try {
    yield* readChunks(file, { offset: 0, length }, kept.sizeBytes, signal);
  } finally {
    await file.close();
  }
}

async function makeVisible({ folders }: Place, from: string, to: string, signal: AbortSignal): Promise<void> {
  try {
    await folders.moveIntoPlace(from, to, signal);
  } catch (error) {
    if (codeOf(error) === "ENOENT" && !(await isThere(from))) throw takenAway(error);
    throwFault(error);
  }
}

/**
 * Whether a small blob is there already, and durable: whoever stored it may not have come so far. False as well if that cannot
 * be told: writing it mends much, and tells the fault of the rest.
 */
async function holds(
  { folders }: Place,
  path: string,
  blob: BlobRef,
  { signal, keeping }: WriteOptions,
): Promise<boolean> {
  if (blob.sizeBytes > lookedForBytes) return false;
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size !== blob.sizeBytes || isStale(found.mtime, keeping)) return false;
    const { hex } = await hashOfFile(path, signal);
    if (hex !== blob.hex) return false;
    await folders.makeDurable(path);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** What has come is added to the partial file first, as far as there is space. */
async function allButLongest(partial: PartialFile, kept: readonly Partial[]): Promise<Pathed[]> {
  await partial.flush().catch(() => undefined);
  const [longest, ...others] = kept;
  if (partial.writtenBytes > (longest?.sizeBytes ?? 0)) return [...kept];
  return [partial, ...others];
}

interface Pathed {
  path: string;
}

async function removePartials(partials: readonly Pathed[]): Promise<void> {
  await removeFiles(partials.map(({ path }) => path));
}

/** Wrong bytes are of no use, and on a full disk what is kept would hold the space that going on with it takes. */
function mayKeepAfter(error: unknown): boolean {
  return !["SIZE_MISMATCH", "DIGEST_MISMATCH", "BACKEND_FULL"].includes(reasonOf(error) ?? "");
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function takenAway(cause: unknown): DomainError {
  return backendUnavailable("the upload was begun anew elsewhere, or lay for so long that it was removed", cause);
}

function offsetInvalid(offset: number, committed: number): DomainError {
  return new DomainError("WRITE_OFFSET_INVALID", `the upload can go on at ${committed} bytes, not at ${offset}`, {
    metadata: { expected: String(committed), actual: String(offset) },
  });
}
