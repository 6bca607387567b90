import { DomainError } from "@attestry/service-kit";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import type { Expiry } from "../retention/expiry.ts";
import type { Keeping } from "../retention/keeping.ts";

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
  /** None where there ought to be some: the blob is there by name alone, its bytes are lost. */
  chunks: AsyncIterable<Buffer>;
  /** Frees what it holds; due in every case, and safe to call twice. */
  close(): Promise<void>;
}

/** A blob as a listing shows it. */
export interface ListedBlob extends StoredBlob {
  key: string;
}

/** An upload that can be gone on with after it broke off, on another replica of the gateway too. */
export interface Resumable {
  /** The client's name for the upload; a lower-case UUID. What is kept of it is found by key, blob and this. */
  uploadId: string;
  /** Where the source begins: what `committed` said, or 0 to begin anew, which lets go of what was kept. */
  offset: number;
  /** Whether what came before this fault is worth keeping. */
  keepAfter(fault: unknown): boolean;
}

export type WriteOutcome = "stored" | "existed";

export interface WriteOptions {
  signal: AbortSignal;
  /** Undefined: what comes of a write that breaks off is not kept. */
  resumable?: Resumable | undefined;
  /** Undefined: the blob counts however old it is, and nothing is promised. */
  keeping?: Keeping | undefined;
  /** What the client calls the blob's file; at most 1,024 bytes of UTF-8. Undefined: nothing. */
  fileName?: string | undefined;
}

/**
 * One organization's part of one object store. Keys are relative to it (see `blobKey`), so that nothing outside can
 * be named. Every call ends when its signal aborts, with the signal's reason. A store that does not do what it should
 * throws BACKEND_UNAVAILABLE, one without space BACKEND_FULL, and one that will not work until somebody changes its
 * settings or rights BACKEND_MISCONFIGURED; messages hold no path, address or credential.
 */
export interface Backend {
  /** What the store does not know and the backend does without, as sentences for an operator; known after the first try. */
  readonly notes: readonly string[];
  /** Undefined if it is not there. */
  describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined>;
  /** The sizes in bytes of those blobs that are there, by key; with bounded requests at a time, however many they are. */
  sizes(blobs: readonly KeyedBlob[], signal: AbortSignal): Promise<Map<string, number>>;
  /** What the write that made the blob visible called it; undefined: nothing, or it is not there. */
  fileName(key: string, signal: AbortSignal): Promise<string | undefined>;
  /** Undefined if it is not there. */
  read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined>;
  /**
   * Stores a blob, in the place of what is there unless that is the blob. It becomes visible, whole and durable, only
   * when the source ends without an error and is the blob, resumed or not; otherwise nothing is visible, and nothing is
   * left but what `resumable` keeps. Throws what the source throws, SIZE_MISMATCH and DIGEST_MISMATCH besides, and
   * WRITE_OFFSET_INVALID if a resumed source does not begin at what is committed. `existed`: the blob was there, proven in
   * this call, and stays as it is; a backend that cannot tell cheaply stores it again. A size that is not known is what the
   * source turns out to have, which then cannot be resumed. Who stores a blob anew in its place leaves it the name that it has.
   */
  write(key: string, blob: BlobQuery, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome>;
  /** How many bytes of an upload that broke off are kept for certain: where it can go on; 0 if there is nothing. */
  committed(key: string, blob: BlobRef, uploadId: string, signal: AbortSignal): Promise<number>;
  /**
   * Has the store refuse to delete a blob for that many milliseconds from now on, where it can. False if the blob is not
   * there; a store that cannot need not look.
   */
  hold(key: string, atLeastMs: number, signal: AbortSignal): Promise<boolean>;
  /** Deleting what is not there is no error. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** How blobs whose time is over go; undefined if this store cannot tell what is old from what came just now. */
  expiry(signal: AbortSignal): Promise<Expiry | undefined>;
  /** Moves what is there out of sight unless it is the blob after all; true if it did, false if this store cannot. */
  setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean>;
  /** What is below a folder (`blobs/`), in the order of the keys, beginning after one; some at a time, however many there are. */
  list(folder: string, after: string, signal: AbortSignal): AsyncIterable<ListedBlob>;
  /**
   * Removes what is left of uploads that nobody has gone on with since then, also of a gateway that is gone. What is
   * under way, and what is not this organization's, stays. Returns how many uploads it removed; what could not be removed
   * is met again by the next sweep, and its fault is thrown after the others were done.
   */
  sweep(before: Date, signal: AbortSignal): Promise<number>;
  /** Lets calls under way end, and keeps no connection after them. */
  close(): void;
}

export interface KeyedBlob {
  key: string;
  /** What its name says that it has. */
  sizeBytes: number;
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
  return new DomainError("BACKEND_FULL", "there is no space left", { cause, retryAfterMs: 60_000 });
}
