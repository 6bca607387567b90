import { createHash, randomUUID } from "node:crypto";
import { DomainError, reasonOf } from "@attestry/service-kit";
import type {
  Backend,
  KeyedBlob,
  ListedBlob,
  OpenBlob,
  Range,
  StoredBlob,
  WriteOptions,
  WriteOutcome,
} from "../src/backends/backend.ts";
import { itemsUntilAborted } from "../src/blobs/abortable.ts";
import type { BlobQuery, BlobRef } from "../src/blobs/blob-ref.ts";
import { verified } from "../src/blobs/verified.ts";
import type { BackendUnderTest } from "./contract/subject.ts";

interface MemoryUpload {
  /** The key, the blob and the upload's name. */
  name: string;
  bytes: Buffer;
  touchedAtMs: number;
  live: boolean;
}

/** What backends of one store share, as replicas share a bucket. */
export class MemoryStore {
  readonly blobs = new Map<string, { bytes: Buffer; storedAt: Date }>();
  readonly names = new Map<string, string>();
  readonly uploads = new Map<string, MemoryUpload>();
}

const chunkBytes = 1024 * 1024;

/** The smallest backend that keeps the contract: for tests, and to read beside the contract. */
export class MemoryBackend implements Backend {
  readonly notes: readonly string[] = [];
  readonly #store: MemoryStore;

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    signal.throwIfAborted();
    const found = this.#store.blobs.get(key);
    return found && { sizeBytes: found.bytes.byteLength, storedAt: found.storedAt };
  }

  async sizes(blobs: readonly KeyedBlob[], signal: AbortSignal): Promise<Map<string, number>> {
    signal.throwIfAborted();
    return new Map(
      blobs.flatMap(({ key }) => {
        const found = this.#store.blobs.get(key);
        return found === undefined ? [] : [[key, found.bytes.byteLength]];
      }),
    );
  }

  async fileName(key: string, signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    return this.#store.blobs.has(key) ? this.#store.names.get(key) : undefined;
  }

  async read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    signal.throwIfAborted();
    const found = this.#store.blobs.get(key);
    if (found === undefined) return undefined;
    return {
      sizeBytes: found.bytes.byteLength,
      chunks: chunksOf(found.bytes, range, signal),
      close: async () => undefined,
    };
  }

  async write(
    key: string,
    blob: BlobQuery,
    source: AsyncIterable<Uint8Array>,
    { signal, resumable, fileName }: WriteOptions,
  ): Promise<WriteOutcome> {
    signal.throwIfAborted();
    const name = uploadName(key, blob, resumable?.uploadId ?? randomUUID());
    const offset = resumable?.offset ?? 0;
    const kept = this.#kept(name);
    const longest = kept[0]?.bytes ?? Buffer.of();
    if (offset > longest.byteLength) {
      throw new DomainError("WRITE_OFFSET_INVALID", `the upload can go on at ${longest.byteLength} bytes`);
    }
    if (offset === 0) this.#drop(kept);
    const id = randomUUID();
    const upload: MemoryUpload = { name, bytes: Buffer.of(), touchedAtMs: Date.now(), live: true };
    this.#store.uploads.set(id, upload);
    const chunks: Uint8Array[] = [];
    async function* joined() {
      yield longest.subarray(0, offset);
      yield* itemsUntilAborted(source, signal);
    }
    try {
      for await (const chunk of verified(joined(), blob)) chunks.push(chunk);
      signal.throwIfAborted();
      const bytes = Buffer.concat(chunks);
      this.#drop([upload, ...kept]);
      if (bytes.byteLength <= chunkBytes && this.#store.blobs.get(key)?.bytes.equals(bytes)) return "existed";
      this.#store.blobs.set(key, { bytes, storedAt: new Date() });
      const name = this.#store.names.get(key) ?? fileName;
      if (name !== undefined) this.#store.names.set(key, name);
      return "stored";
    } catch (error) {
      const wrong = ["SIZE_MISMATCH", "DIGEST_MISMATCH"].includes(reasonOf(error) ?? "");
      upload.bytes = Buffer.concat(chunks);
      const keep = !wrong && resumable?.keepAfter(error) === true;
      this.#drop(keep ? this.#kept(name).slice(1) : [upload, ...kept]);
      throw error;
    } finally {
      upload.live = false;
      upload.touchedAtMs = Date.now();
    }
  }

  async committed(key: string, blob: BlobRef, uploadId: string, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return this.#kept(uploadName(key, blob, uploadId))[0]?.bytes.byteLength ?? 0;
  }

  async hold(): Promise<boolean> {
    return true;
  }

  async expiry(): Promise<undefined> {
    return undefined;
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#store.blobs.delete(key);
    this.#store.names.delete(key);
  }

  async setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const found = this.#store.blobs.get(key);
    if (found === undefined || createHash("sha256").update(found.bytes).digest("hex") === blob.hex) return false;
    this.#store.blobs.set(`corrupt/${randomUUID()}`, found);
    return this.#store.blobs.delete(key);
  }

  async *list(folder: string, after: string, signal: AbortSignal): AsyncGenerator<ListedBlob, void, void> {
    signal.throwIfAborted();
    const keys = [...this.#store.blobs.keys()].filter((key) => key.startsWith(folder) && key > after);
    for (const key of keys.sort()) {
      const stored = await this.describe(key, signal);
      if (stored !== undefined) yield { key, ...stored };
    }
  }

  async sweep(before: Date, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const { uploads } = this.#store;
    const fresh = new Set(
      [...uploads.values()]
        .filter(({ live, touchedAtMs }) => live || touchedAtMs >= before.getTime())
        .map((u) => u.name),
    );
    const stale = [...uploads.values()].filter(({ name }) => !fresh.has(name));
    this.#drop(stale);
    return new Set(stale.map(({ name }) => name)).size;
  }

  close(): void {}

  /** The longest first. */
  #kept(name: string): MemoryUpload[] {
    const kept = [...this.#store.uploads.values()].filter((upload) => upload.name === name);
    return kept.sort((a, b) => b.bytes.byteLength - a.bytes.byteLength);
  }

  #drop(uploads: readonly MemoryUpload[]): void {
    for (const [id, upload] of this.#store.uploads) if (uploads.includes(upload)) this.#store.uploads.delete(id);
  }
}

function uploadName(key: string, { hex, sizeBytes = 0 }: BlobQuery, uploadId: string): string {
  return [key, hex, sizeBytes, uploadId].join(" ");
}

async function* chunksOf(bytes: Buffer, range: Range, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  const end = Math.min(bytes.byteLength, range.offset + (range.length ?? bytes.byteLength));
  for (let start = range.offset; start < end; start += chunkBytes) {
    signal.throwIfAborted();
    yield bytes.subarray(start, Math.min(end, start + chunkBytes));
  }
}

/** For the contract and for property tests. */
export async function startMemory(): Promise<BackendUnderTest> {
  const stores = new Map<string, MemoryStore>();
  const storeOf = (prefix: string) => {
    const store = stores.get(prefix) ?? new MemoryStore();
    stores.set(prefix, store);
    return store;
  };
  return {
    open: (prefix) => new MemoryBackend(storeOf(prefix)),
    leftovers: async (prefix) => {
      const { blobs, uploads } = storeOf(prefix);
      return [...blobs.keys(), ...uploads.keys()];
    },
    spoil: async (prefix, key, bytes) => void storeOf(prefix).blobs.set(key, { bytes, storedAt: new Date() }),
    stop: async () => stores.clear(),
  };
}
