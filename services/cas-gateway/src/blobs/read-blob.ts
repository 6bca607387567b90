import { createHash } from "node:crypto";
import { type CasPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { OpenBlob } from "../backends/backend.ts";
import { ofBackend } from "../backends/named-backend.ts";
import type { Telemetry } from "../telemetry.ts";
import { untilAborted } from "./abortable.ts";
import { type BlobQuery, type BlobRef, digestOf, isEmptyBlob } from "./blob-ref.ts";
import { cutShort } from "./cut-short.ts";
import type { Proofs } from "./proofs.ts";
import { corruptBlob, type Found, type StoredBlobs } from "./stored-blobs.ts";

export interface ReadOptions {
  caller: CasPrincipal;
  /** Without its size only to be read whole. */
  blob: BlobQuery;
  /** First byte. */
  offset: number;
  /** At most that many bytes; 0: to the end. */
  limit: number;
  /** Told how many bytes the blob has, before the first of them come; again if another backend's is read instead. */
  onOpen?: (sizeBytes: number) => void;
  /** Frees what is held, also while nobody asks for more. */
  signal: AbortSignal;
}

interface ReadContext {
  blobs: StoredBlobs;
  proofs: Proofs;
  telemetry: Telemetry;
}

/**
 * The bytes of a blob, or of a part of it. A whole blob is hashed as it passes, and its last chunk is held back until
 * the digest is proven: who got all bytes got the right ones. If what a backend holds turns out corrupt, or the backend
 * breaks off, before any of it was passed on, the next one that has the blob is read; after that, the next read finds
 * that one.
 *
 * Throws READ_OFFSET_OUT_OF_RANGE, BLOB_NOT_FOUND, BLOB_CORRUPT, BACKEND_UNAVAILABLE, BACKEND_MISCONFIGURED,
 * SECRET_INVALID.
 */
export async function* readBlob(
  context: ReadContext,
  { caller, blob, offset, limit, signal, onOpen }: ReadOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const size = blob.sizeBytes ?? Number.POSITIVE_INFINITY;
  if (offset > size) throw outOfRange(offset, size);
  if (isEmptyBlob(blob)) return;
  const length = Math.min(limit === 0 ? Number.POSITIVE_INFINITY : limit, size - offset);
  if (blob.sizeBytes !== undefined && length === 0 && size > 0)
    return context.blobs.find(caller, { hex: blob.hex, sizeBytes: blob.sizeBytes }, signal);
  const whole = length === size;
  const range = whole ? { offset: 0, length: undefined } : { offset, length };
  const tried: Found<OpenBlob>[] = [];
  let fault: unknown;
  do {
    const openedAt = Date.now();
    const found = await context.blobs.open(caller, blob, range, signal, tried).catch((error: unknown) => {
      throw isLast(error) ? (fault ?? error) : error;
    });
    tried.push(found);
    const { sizeBytes } = found.value;
    const expected = whole ? sizeBytes : length;
    onOpen?.(sizeBytes);
    // Whoever goes away in the middle may just stop pulling: then nothing after a yield runs any more.
    const onAbort = () => void found.value.close();
    signal.addEventListener("abort", onAbort, { once: true });
    // One loop in one generator, not one for each concern: each would cost every chunk some turns of the event loop.
    const hash = whole ? createHash("sha256") : undefined;
    let held: Uint8Array | undefined;
    let isPassedOn = false;
    let came = 0;
    try {
      for await (const chunk of found.value.chunks) {
        came += chunk.byteLength;
        hash?.update(chunk);
        if (hash === undefined) {
          isPassedOn = true;
          yield chunk;
        } else if (held !== undefined) {
          isPassedOn = true;
          yield held;
        }
        held = chunk;
      }
      if (came !== expected && came > 0) throw cutShort(expected, came);
      // No bytes at all are no part of the blob either.
      const read = hash ?? (came < expected ? createHash("sha256") : undefined);
      fault =
        read &&
        (await judge(context, found, {
          blob: { hex: blob.hex, sizeBytes },
          hex: read.digest("hex"),
          openedAt,
          signal,
        }));
      if (fault !== undefined && isPassedOn) throw fault;
      if (fault === undefined && hash !== undefined && held !== undefined) {
        isPassedOn = true;
        yield held;
      }
    } catch (error) {
      fault = ofBackend(error, found.named.name);
      if (isPassedOn || signal.aborted) throw fault;
    } finally {
      signal.removeEventListener("abort", onAbort);
      await found.value.close();
    }
    if (fault === undefined) context.telemetry.read(found.named.provider, expected);
  } while (fault !== undefined);
}

/** Whether there was nothing else to read: then it counts why what was read before did not do. */
function isLast(error: unknown): boolean {
  return ["BLOB_NOT_FOUND", "BLOB_CORRUPT"].includes(reasonOf(error) ?? "");
}

/** BLOB_CORRUPT if what was read is not the blob. */
async function judge(
  { proofs }: ReadContext,
  found: Found<OpenBlob>,
  { blob, hex, openedAt, signal }: { blob: BlobRef; hex: string; openedAt: number; signal: AbortSignal },
): Promise<DomainError | undefined> {
  if (hex === blob.hex) {
    proofs.add(found, blob, openedAt);
    return undefined;
  }
  await untilAborted(() => proofs.condemn(found, blob, openedAt), signal);
  return corruptBlob(blob.hex, digestOf(hex), found.named.name);
}

function outOfRange(offset: number, sizeBytes: number): DomainError {
  return new DomainError(
    "READ_OFFSET_OUT_OF_RANGE",
    `read_offset must be from 0 to the blob's size ${sizeBytes}, got ${offset}`,
    {
      metadata: { expected: `0 to ${sizeBytes}`, actual: String(offset) },
    },
  );
}
