import { DomainError } from "@attestry/service-kit";
import type { BlobRef } from "../blobs/blob-ref.ts";

export interface StoredBlob {
  sizeBytes: number;
  storedAt: Date;
}

export interface Range {
  /** First byte; less than the blob's size, or 0. */
  offset: number;
  /** Bytes; undefined: to the end. */
  length: number | undefined;
}

export interface OpenBlob {
  /** Of the whole blob, whatever the range. */
  sizeBytes: number;
  chunks: AsyncIterable<Buffer>;
  /** Frees what it holds; due in every case, and safe to call twice. */
  close(): Promise<void>;
}

/**
 * One organization's part of one object store. Keys are relative to it (see `blobKey`), so that nothing outside can
 * be named. Every call ends when its signal aborts, with the signal's reason. A store that does not do what it should
 * throws BACKEND_UNAVAILABLE, one without space BACKEND_FULL, and one that will not work until somebody changes its
 * settings or rights BACKEND_MISCONFIGURED; messages hold no path, address or credential.
 */
export interface Backend {
  /** Undefined if it is not there. */
  describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined>;
  /** The sizes in bytes of those keys that are there; with bounded requests at a time, however many keys. */
  sizes(keys: readonly string[], signal: AbortSignal): Promise<Map<string, number>>;
  /** Undefined if it is not there. */
  read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined>;
  /**
   * Stores a blob, in the place of one that is there. It becomes visible, whole and durable, only when the source
   * ends without an error and is the blob; otherwise nothing is left. Throws what the source throws, SIZE_MISMATCH
   * and DIGEST_MISMATCH besides.
   */
  write(key: string, blob: BlobRef, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
  /** Deleting what is not there is no error. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** Moves what is there out of sight unless it is the blob after all; true if it did, false if this store cannot. */
  setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean>;
  /** Lets calls under way end, and keeps no connection after them. */
  close(): void;
}

const retryAfterMs = 5_000;

export function backendUnavailable(message: string, cause: unknown): DomainError {
  return new DomainError("BACKEND_UNAVAILABLE", message, { cause, retryAfterMs });
}

/** A fault that stays until somebody changes something: trying again is of no use, so it says nothing of when. */
export function backendMisconfigured(message: string, cause: unknown): DomainError {
  return new DomainError("BACKEND_MISCONFIGURED", message, { cause });
}

export function backendFull(cause: unknown): DomainError {
  return new DomainError("BACKEND_FULL", "the backend has no space left", { cause, retryAfterMs: 60_000 });
}
