import type { Transport } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { BatchUpload, isSmall } from "./batch-upload.ts";
import { findMissing } from "./blobs.ts";
import type { BlobCall } from "./call.ts";
import { mayPass, retryDelayOf } from "./faults.ts";
import { Jobs } from "./jobs.ts";
import { Deadline, type Persistence, persist } from "./persist.ts";
import { uploadBlob } from "./upload.ts";
import type { Announced, OpenSource } from "./upload-source.ts";

/** One of many blobs to upload. */
export interface BlobToUpload extends Announced {
  open: OpenSource;
  /** As `uploadBlob` has it. */
  uploadId?: string | undefined;
}

export type Uploaded<B> =
  | { blob: B; outcome: "uploaded" | "present" }
  /** Why this one blob could not be uploaded. */
  | { blob: B; outcome: "failed"; fault: unknown };

export interface UploadManyOptions<B extends BlobToUpload> extends BlobCall, Persistence {
  /** Taken as they are needed: what prepares them goes on while others are sent. */
  blobs: AsyncIterable<B> | Iterable<B>;
  /** Calls at a time. Default: 4. */
  jobs?: number | undefined;
  /** Called once for each blob, when it is known what became of it. */
  onResult?: ((result: Uploaded<B>) => void) | undefined;
  /** Called with the bytes of all blobs that are done or under way, as they were handed over. */
  onProgress?: ((bytes: number) => void) | undefined;
}

const defaultJobs = 4;
/** A question has at most so many blobs, and is asked once so many bytes are waiting. */
const askedAtOnce = 500;
const waitingBytes = 256 * 1024 * 1024;

/**
 * Uploads what the gateway lacks of many blobs: asks for them in batches, sends small ones together and large ones
 * each in a call, several at a time, with memory for those only. A fault of one blob (its source, a refusal) is told by
 * `onResult`, and the others go on. A fault of all (no permission, gateway not reachable for `stallMs`, out of time)
 * ends it: then this throws, when the calls under way have ended. Throws too what `blobs` throws.
 */
export async function uploadMany<B extends BlobToUpload>(
  transport: Transport,
  options: UploadManyOptions<B>,
): Promise<void> {
  await new ManyUploads(transport, options).run();
}

class ManyUploads<B extends BlobToUpload> {
  readonly #transport: Transport;
  readonly #options: UploadManyOptions<B>;
  readonly #deadline: Deadline;
  readonly #jobs: Jobs;
  #batch: BatchUpload<B>;
  #bytes = 0;
  #reached: boolean;
  /** Blobs with the same digest as one that is on its way: they are there once it is. */
  readonly #twins = new Map<B, B[]>();

  constructor(transport: Transport, options: UploadManyOptions<B>) {
    this.#transport = transport;
    this.#options = options;
    this.#deadline = new Deadline(options.timeoutMs);
    this.#jobs = new Jobs(options.jobs ?? defaultJobs, options.signal);
    this.#batch = new BatchUpload();
    this.#reached = options.reachedBefore ?? false;
  }

  async run(): Promise<void> {
    try {
      for await (const blobs of inGroups(this.#options.blobs)) await this.#uploadGroup(blobs);
    } catch (error) {
      this.#jobs.abort(error);
    }
    await this.#jobs.finished();
  }

  async #uploadGroup(blobs: readonly B[]): Promise<void> {
    const first = new Map<string, B>();
    const twins: B[] = [];
    for (const blob of blobs) {
      if (first.has(blob.digest)) twins.push(blob);
      else first.set(blob.digest, blob);
    }
    const missing = new Set(await this.#missing([...first.values()]));
    for (const twin of twins) {
      const sent = first.get(twin.digest);
      if (sent === undefined || !missing.has(twin.digest)) this.#done({ blob: twin, outcome: "present" });
      else this.#twins.set(sent, [...(this.#twins.get(sent) ?? []), twin]);
    }
    for (const blob of first.values()) {
      if (!missing.has(blob.digest)) this.#done({ blob, outcome: "present" });
      else if (isSmall(blob)) await this.#addToBatch(blob);
      else await this.#jobs.run((signal) => this.#send(blob, signal));
    }
    // Small ones do not wait for what is prepared next.
    await this.#sendBatch();
  }

  async #missing(blobs: readonly B[]): Promise<string[]> {
    const signal = this.#jobs.signal;
    const missing = await persist(this.#persistence(signal), (call) =>
      findMissing(this.#transport, { token: this.#token, ...call, blobs }),
    );
    this.#reached = true;
    return missing.map(({ digest }) => digest);
  }

  async #addToBatch(blob: B): Promise<void> {
    if (!this.#batch.hasRoomFor(blob)) await this.#sendBatch();
    this.#batch.add(blob);
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    this.#batch = new BatchUpload();
    if (batch.isEmpty) return;
    await this.#jobs.run(async (signal) => {
      const results = await persist(this.#persistence(signal), (call) =>
        batch.send(this.#transport, { token: this.#token, ...call }),
      );
      for (const { blob, fault } of results) await this.#settle(blob, fault, signal);
    });
  }

  async #send(blob: B, signal: AbortSignal): Promise<void> {
    let counted = 0;
    const count = (bytes: number) => {
      this.#advance(bytes - counted);
      counted = bytes;
    };
    let fault: unknown;
    try {
      const { digest, sizeBytes, open, uploadId } = blob;
      await uploadBlob(this.#transport, {
        ...{ token: this.#token, digest, sizeBytes, open, uploadId },
        ...{ ...this.#patience(), timeoutMs: this.#deadline.leftMs(), signal },
        onProgress: count,
      });
    } catch (error) {
      fault = error;
    }
    count(0);
    await this.#settle(blob, fault, signal);
  }

  async #settle(blob: B, fault: unknown, signal: AbortSignal): Promise<void> {
    if (fault === undefined) this.#done({ blob, outcome: "uploaded" });
    else if (isOfOneBlob(fault) && !signal.aborted) this.#done({ blob, outcome: "failed", fault });
    else throw fault;
    const twins = this.#twins.get(blob) ?? [];
    this.#twins.delete(blob);
    for (const twin of twins) {
      if (fault === undefined) this.#done({ blob: twin, outcome: "present" });
      // Its source may be a better one.
      else await this.#send(twin, signal);
    }
  }

  #done(result: Uploaded<B>): void {
    this.#advance(result.blob.sizeBytes);
    this.#options.onResult?.(result);
  }

  #advance(bytes: number): void {
    this.#bytes += bytes;
    this.#options.onProgress?.(this.#bytes);
  }

  #persistence(signal: AbortSignal) {
    return { ...this.#patience(), signal, deadline: this.#deadline, progress: () => 0 };
  }

  #patience() {
    const { stallMs, onRetry } = this.#options;
    return { stallMs, onRetry, reachedBefore: this.#reached };
  }

  /** Where there is no token, no blob fares better than another. */
  readonly #token = async (): Promise<string> => {
    const { token } = this.#options;
    try {
      return typeof token === "string" ? token : await token();
    } catch (error) {
      if (!mayPass(error)) this.#jobs.abort(error);
      throw error;
    }
  };
}

/** Bounded groups, so that what comes first is sent while the rest is still being prepared. */
async function* inGroups<B extends BlobToUpload>(blobs: AsyncIterable<B> | Iterable<B>): AsyncGenerator<B[]> {
  let group: B[] = [];
  let bytes = 0;
  for await (const blob of blobs) {
    group.push(blob);
    bytes += blob.sizeBytes;
    if (group.length < askedAtOnce && bytes < waitingBytes) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

/** Whether other blobs may fare better: a fault of a source, or a refusal of this blob. */
function isOfOneBlob(fault: unknown): boolean {
  if (!(fault instanceof ConnectError)) return true;
  switch (fault.code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
    case Code.DataLoss:
      return true;
    case Code.ResourceExhausted:
      return retryDelayOf(fault) === undefined;
    default:
      return false;
  }
}
