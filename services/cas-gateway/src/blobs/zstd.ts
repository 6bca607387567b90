import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { types } from "node:util";
import { constants, createZstdCompress, createZstdDecompress, zstdCompressSync } from "node:zlib";
import { DomainError } from "@attestry/service-kit";
import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from "cockatiel";
import { LRUCache } from "lru-cache";
import { childController, untilAborted } from "./abortable.ts";
import { sizeMismatch } from "./verified.ts";
import { compressedInvalid, ZstdFrames } from "./zstd-frames.ts";

/** 8 MiB, which RFC 8878 (section 3.1.1.1.2) recommends that decoders support and encoders keep to. */
const windowLogMax = 23;
/** For speed: the store, the network and two ends share the time, and most materials are compressed already. */
const level = 1;
const pieceBytes = 256 * 1024;
/** What one that compresses may add to bytes that do not yield, generously; more is frames and blocks that hold nothing. */
const mostOverheadBytes = 64 * 1024;

/** Frames, and blocks that hold nothing: those of a compressor that makes a frame of each 8 KiB, and some more. */
const mostEmpty = (sizeBytes: number) => 1_000 + Math.ceil(sizeBytes / 4_096);

/**
 * Streams that are compressed or decompressed at a time; each may hold a window of 8 MiB. The others wait in line, for a
 * while, and take nothing of their clients meanwhile. Organizations have a line each, so that one whose clients are slow
 * leaves room for the others.
 */
const streamsAtATime = 48;
const streamsOfOneAtATime = 12;
const mostInLine = 2_000;
const mostOrganizations = 10_000;
const inLineMs = 30_000;
const slots = bulkhead(streamsAtATime, mostInLine);
const slotsOf = new LRUCache<string, BulkheadPolicy>({ max: mostOrganizations });

export interface ZstdOptions {
  /** Whose stream it is. */
  organization: string;
  /** Of the blob, uncompressed. */
  sizeBytes: number;
  /** Frees what is held, also while nobody asks for more. */
  signal: AbortSignal;
}

/** The bytes as one frame with a checksum. Throws what the source throws, and STORE_BUSY. */
export function compressed(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { organization, sizeBytes, signal }: ZstdOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  return through(source, () => createZstdCompress({ chunkSize: pieceBytes, params, pledgedSrcSize: sizeBytes }), {
    organization,
    signal,
  });
}

/**
 * The bytes of one frame or several (RFC 8878, section 3), or of none, as some compressors make of an empty blob.
 * Throws COMPRESSED_INVALID, SIZE_MISMATCH as soon as more bytes come out than the blob has, STORE_BUSY, and what the
 * source throws.
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  { organization, sizeBytes, signal }: ZstdOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const params = { [constants.ZSTD_d_windowLogMax]: windowLogMax };
  const frames = framed(source, sizeBytes);
  const create = () => createZstdDecompress({ chunkSize: pieceBytes, params });
  try {
    let came = 0;
    for await (const piece of through(frames, create, { organization, signal })) {
      came += piece.byteLength;
      if (came > sizeBytes) throw sizeMismatch(sizeBytes, `at least ${came}`);
      yield piece;
    }
  } catch (error) {
    throw isDecoderFault(error) ? compressedInvalid(error.message, error) : error;
  }
}

async function* framed(source: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array, void, void> {
  const mostBytes = 2 * sizeBytes + mostOverheadBytes;
  const frames = new ZstdFrames(mostEmpty(sizeBytes));
  let came = 0;
  let isFed = false;
  for await (const chunk of source) {
    came += chunk.byteLength;
    if (came > mostBytes) throw compressedInvalid(`more than ${mostBytes} bytes of it for a blob of this size`);
    for (const piece of frames.split(chunk)) {
      isFed = true;
      yield piece;
    }
  }
  frames.end();
  // Node's decoder takes an end without a frame for one that is too early.
  if (!isFed) yield emptyFrame;
}

const emptyFrame = zstdCompressSync(Buffer.alloc(0));

/** What the transform makes of the source; ends the one when the other fails or is not wanted any more. */
async function* through(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  create: () => Transform,
  { organization, signal }: Pick<ZstdOptions, "organization" | "signal">,
): AsyncGenerator<Uint8Array, void, void> {
  const release = await slot(organization, signal);
  const transform = create();
  function onAbort(): void {
    transform.destroy(signal.reason);
    release();
  }
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const feeding = pipeline(source, transform);
    // Its fault is that of the transform, which is read here.
    feeding.catch(() => undefined);
    yield* transform;
    await feeding;
  } finally {
    signal.removeEventListener("abort", onAbort);
    release();
  }
}

function isDecoderFault(error: unknown): error is Error {
  return types.isNativeError(error) && "code" in error && /^Z(STD)?_/.test(String(error.code));
}

async function slot(organization: string, signal: AbortSignal): Promise<() => void> {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const own = slotsOf.get(organization) ?? bulkhead(streamsOfOneAtATime, mostInLine);
  slotsOf.set(organization, own);
  const holding = own.execute(() =>
    slots.execute(() => {
      begun.resolve();
      return ended.promise;
    }),
  );
  holding.catch((error: unknown) => begun.reject(error instanceof BulkheadRejectedError ? busy() : error));
  const waiting = childController(signal, { ms: inLineMs, reason: busy });
  try {
    await untilAborted(() => begun.promise, waiting.controller.signal);
  } catch (error) {
    ended.resolve();
    throw error;
  } finally {
    waiting.release();
  }
  return ended.resolve;
}

function busy(): DomainError {
  return new DomainError("STORE_BUSY", "too many compressed streams are under way", { retryAfterMs: 1_000 });
}
