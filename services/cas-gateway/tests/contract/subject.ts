import { afterAll, beforeAll, expect } from "@jest/globals";
import type { Backend, Resumable, WriteOutcome } from "../../src/backends/backend.ts";
import type { BlobRef } from "../../src/blobs/blob-ref.ts";
import { blobKey } from "../../src/blobs/key.ts";
import { chunksOf, type TestBlob } from "../blobs.ts";

/** One store, and ways to look at it and to spoil it from behind the backend. */
export interface BackendUnderTest {
  /**
   * A new instance on the same store for the organization's prefix (`acme/`), as another replica of the gateway has it.
   * Uploads are kept for a day unless the options say otherwise.
   */
  open(prefix: string, options?: { uploadRetentionMs?: number }): Backend;
  /**
   * Everything in the store below a prefix, in any order, as texts that a test only compares: blobs, unfinished uploads,
   * records, partial files, what was set aside.
   */
  leftovers(prefix: string): Promise<string[]>;
  /** Puts bytes where a blob is or would be, as rot or another program does. The key is relative to the prefix. */
  spoil(prefix: string, key: string, bytes: Buffer): Promise<void>;
  stop(): Promise<void>;
}

export const { signal } = new AbortController();
export const oneDayMs = 24 * 3_600_000;

/** What the suites of the contract work with: one store for all of them. */
export class Subject {
  readonly #start: () => Promise<BackendUnderTest>;
  #store: BackendUnderTest | undefined;
  #backend: Backend | undefined;

  /** Starts before the tests that are registered after it, and stops after them. */
  constructor(start: () => Promise<BackendUnderTest>) {
    this.#start = start;
    beforeAll(async () => {
      this.#store = await this.#start();
      this.#backend = this.#store.open("acme/");
    });
    afterAll(() => this.#store?.stop());
  }

  get store(): BackendUnderTest {
    if (this.#store === undefined) throw new Error("the store has not been started");
    return this.#store;
  }

  /** The instance for `acme/`. */
  get backend(): Backend {
    if (this.#backend === undefined) throw new Error("the store has not been started");
    return this.#backend;
  }

  put(blob: TestBlob, source: AsyncIterable<Uint8Array> = chunksOf(blob.bytes, 300_000)): Promise<WriteOutcome> {
    return this.backend.write(keyOf(blob), blob, source, { signal });
  }

  get(blob: TestBlob, offset = 0, length?: number): Promise<Buffer | undefined> {
    return readWith(this.backend, blob, offset, length);
  }

  async expectStored(blob: TestBlob, backend = this.backend): Promise<void> {
    expect((await backend.describe(keyOf(blob), signal))?.sizeBytes).toBe(blob.sizeBytes);
    expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
  }

  /** Not by any call that could show it. */
  async expectAbsent(blob: TestBlob, backend = this.backend): Promise<void> {
    const key = keyOf(blob);
    expect(await backend.describe(key, signal)).toBeUndefined();
    expect(await backend.read(key, { offset: 0, length: undefined }, signal)).toBeUndefined();
    expect(await backend.sizes([{ key, sizeBytes: blob.sizeBytes }], signal)).toEqual(new Map());
  }

  leftovers(): Promise<string[]> {
    return this.store.leftovers("acme/").then((names) => names.sort());
  }
}

export function keyOf({ hex }: BlobRef): string {
  return blobKey("blobs", hex);
}

export async function readWith(
  backend: Backend,
  blob: BlobRef,
  offset = 0,
  length?: number,
): Promise<Buffer | undefined> {
  const opened = await backend.read(keyOf(blob), { offset, length }, signal);
  if (opened === undefined) return undefined;
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of opened.chunks) chunks.push(chunk);
  } finally {
    await opened.close();
  }
  expect(opened.sizeBytes).toBe(blob.sizeBytes);
  return Buffer.concat(chunks);
}

/** One that keeps what came before any fault, as the gateway does for a client that went away. */
export function resumable(uploadId: string, offset = 0, keep = true): Resumable {
  return { uploadId, offset, keepAfter: () => keep };
}

/** Gives the bytes in pieces of that size, and then fails. */
export async function* failingAfter(bytes: Uint8Array, size = 300_000, fault = new Error("the source failed")) {
  yield* chunksOf(bytes, size);
  throw fault;
}

/** The same bytes but for one bit of the last. */
export function withWrongEnd(bytes: Buffer): Buffer {
  const wrong = Buffer.from(bytes);
  const last = wrong.byteLength - 1;
  wrong.writeUInt8(wrong.readUInt8(last) ^ 1, last);
  return wrong;
}
