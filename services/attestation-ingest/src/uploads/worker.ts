import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { inBatches, type Logger, Periodic } from "@attestry/service-kit";
import { BrokenCircuitError } from "cockatiel";
import { heldBackFor } from "../cas-fault.ts";
import type { ClaimedUpload, Uploads } from "../db/uploads.ts";
import type { Telemetry } from "../telemetry.ts";
import { BackendHealth } from "./backend-health.ts";
import { backoffMs } from "./backoff.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { Uploader } from "./uploader.ts";

const idleMs = 200;
/** When the queue cannot be read. */
const faultMs = 2_000;
const longestError = 500;
/** Of bundles in memory at once; one has at most 32 MiB. */
const mostBytes = 64 * 1024 * 1024;

interface Held {
  controller: AbortController;
  /** The size of the largest bundle that was claimed with it for the same backend: one token is for all of them. */
  largestBytes: number;
}

export interface UploadWorkerOptions {
  uploads: Uploads;
  uploader: Uploader;
  telemetry: Telemetry;
  logger: Logger;
  config: {
    uploadConcurrency: number;
    uploadsPerSecond: number;
    uploadLeaseMs: number;
    uploadGiveUpMs: number;
    backendProbeMs: number;
  };
}

/**
 * Works off the upload queue: claims what it can start now under a lease, uploads it, and confirms. It polls every
 * 200 ms when idle and at once while there is work; what it holds when it dies is claimed again when the lease ends.
 */
export class UploadWorker {
  readonly #options: UploadWorkerOptions;
  readonly #owner = randomUUID();
  readonly #health: BackendHealth;
  readonly #confirm: (id: string) => Promise<void>;
  readonly #renewal: Periodic;
  readonly #stop = new AbortController();
  /** What it holds, by id, with how to cut it short. */
  readonly #held = new Map<string, Held>();
  readonly #bytes = new ByteBudget(mostBytes);
  #ended: (() => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: UploadWorkerOptions) {
    const { uploads, logger, config } = options;
    this.#options = options;
    this.#health = new BackendHealth({
      perBackend: Math.max(1, Math.ceil(config.uploadConcurrency / 2)),
      perSecond: config.uploadsPerSecond,
      probeMs: config.backendProbeMs,
      probesAtOnce: Math.max(1, Math.floor(config.uploadConcurrency / 4)),
      onRecovered: (backendId) => this.#makeDue(backendId),
    });
    this.#confirm = inBatches(
      async (ids) => {
        await uploads.confirm(ids);
        return ids.map(() => undefined);
      },
      { lanes: 1, maxBatch: 100 },
    );
    this.#renewal = new Periodic({
      name: "the renewal of the leases of uploads",
      intervalMs: config.uploadLeaseMs / 3,
      work: async () => {
        if (this.#held.size > 0) await uploads.renew(this.#owner, [...this.#held.keys()], config.uploadLeaseMs);
      },
      logger,
    });
  }

  start(): void {
    this.#loop ??= this.#run();
    this.#renewal.start();
  }

  /** Cuts short what is under way and gives it back, so that another worker goes on at once. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    this.#ended?.();
    await this.#loop;
    await this.#renewal.destroy();
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    const underWay = new Set<Promise<void>>();
    while (!this.#stop.signal.aborted) {
      try {
        const claimed = await this.#claim();
        for (const upload of claimed) {
          const done = this.#process(upload).finally(() => underWay.delete(done));
          underWay.add(done);
        }
        if (this.#held.size === 0) await this.#pause(idleMs);
        else await this.#endsOrPause();
      } catch (error) {
        logger.warn({ err: error }, "could not claim uploads");
        await this.#pause(faultMs);
      }
    }
    for (const { controller } of this.#held.values()) controller.abort();
    await Promise.all(underWay);
  }

  async #claim(): Promise<ClaimedUpload[]> {
    const { uploads, telemetry, config } = this.#options;
    const limit = config.uploadConcurrency - this.#held.size;
    if (limit <= 0) return [];
    const claimed = await uploads.claim({
      owner: this.#owner,
      leaseMs: config.uploadLeaseMs,
      limit,
      reserved: Math.floor(config.uploadConcurrency / 8),
      probeMs: config.backendProbeMs,
      ...this.#health.room(),
    });
    telemetry.leasesEnded(claimed.filter(({ wasHeld }) => wasHeld).length);
    const largest = largestByBackend(claimed);
    for (const { id, backendId, sizeBytes } of claimed) {
      const largestBytes = largest.get(backendId) ?? sizeBytes;
      this.#held.set(id, { controller: new AbortController(), largestBytes });
    }
    return claimed;
  }

  /** Waits until some of what is held has ended, so that claims come in batches, but never longer than when idle. */
  async #endsOrPause(): Promise<void> {
    const enough = Math.max(0, this.#held.size - Math.max(1, Math.floor(this.#options.config.uploadConcurrency / 4)));
    const waiting = new AbortController();
    const ends = new Promise<void>((resolve) => {
      this.#ended = () => {
        if (this.#held.size <= enough || this.#stop.signal.aborted) resolve();
      };
    });
    await Promise.race([ends, sleep(idleMs, undefined, { signal: waiting.signal, ref: false }).catch(() => undefined)]);
    waiting.abort();
    this.#ended = undefined;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
  }

  /** Never rejects: what cannot be noted is found again when the lease ends. */
  async #process(upload: ClaimedUpload): Promise<void> {
    const { telemetry, logger, uploader } = this.#options;
    const began = performance.now();
    const held = this.#held.get(upload.id);
    const signal = held?.controller.signal ?? AbortSignal.abort();
    const largestBytes = held?.largestBytes ?? upload.sizeBytes;
    try {
      await this.#health.run(
        upload,
        async () => {
          await this.#bytes.take(upload.sizeBytes);
          signal.throwIfAborted();
          return uploader.bytes(upload);
        },
        (bytes) => uploader.upload(upload, bytes, { largestBytes, signal }),
      );
      await this.#confirm(upload.id);
      telemetry.uploadEnded("confirmed", performance.now() - began);
    } catch (error) {
      await this.#failed(upload, error, performance.now() - began).catch((fault: unknown) => {
        logger.warn({ err: fault, digest: upload.digest }, "could not note a failed upload");
      });
    } finally {
      this.#bytes.give(upload.sizeBytes);
      this.#held.delete(upload.id);
      this.#ended?.();
    }
  }

  async #failed(upload: ClaimedUpload, error: unknown, ms: number): Promise<void> {
    const { uploads, telemetry, logger, config } = this.#options;
    // It was not tried at all, or cut short: that is no attempt.
    if (error instanceof BrokenCircuitError || this.#stop.signal.aborted) {
      await uploads.release(this.#owner, [upload.id]);
      return;
    }
    // Nor is what the organization's rate did not let through, however long that lasts.
    const waitMs = heldBackFor(error);
    if (waitMs !== undefined) {
      // A random half more, so that what was refused together does not come again together.
      await uploads.putOff(this.#owner, upload.id, waitMs * (1 + Math.random() / 2));
      return;
    }
    const state = upload.triedForMs + ms > config.uploadGiveUpMs ? "given_up" : "failing";
    const text = error instanceof Error ? error.message : String(error);
    telemetry.uploadEnded(state, ms);
    logger.warn(
      { err: error, digest: upload.digest, backendId: upload.backendId, attempts: upload.attempts + 1, state },
      "upload failed",
    );
    await uploads.fail(this.#owner, {
      id: upload.id,
      state,
      retryInMs: backoffMs(upload.attempts + 1),
      error: text.slice(0, longestError),
    });
  }

  #makeDue(backendId: string): void {
    const { uploads, telemetry, logger } = this.#options;
    uploads.makeDue(backendId).then(
      (count) => {
        telemetry.madeDue(count);
        logger.info({ backendId, count }, "a backend works again; what waited for it is due");
      },
      (error: unknown) => logger.warn({ err: error, backendId }, "could not make uploads due"),
    );
  }
}

function largestByBackend(claimed: readonly ClaimedUpload[]): Map<string, number> {
  const largest = new Map<string, number>();
  for (const { backendId, sizeBytes } of claimed) {
    largest.set(backendId, Math.max(largest.get(backendId) ?? 0, sizeBytes));
  }
  return largest;
}
