import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../errors/domain-error.ts";
import type { Logger } from "../observe/logger.ts";

const pollMs = 5_000;
const fetchTimeoutMs = 4_000;
const staleMs = 60_000;

export interface RevokedPage {
  tokenIds: string[];
  nextCursor: bigint;
  more: boolean;
}

export interface RevocationsOptions {
  /** What was revoked since the cursor (0: all), from workflow-run or its database. */
  fetch: (cursor: bigint, signal: AbortSignal) => Promise<RevokedPage>;
  logger: Logger;
}

/**
 * The revoked API tokens, kept by polling every 5 s, so that no call looks anything up. When they have not been
 * heard of for 60 s, calls are refused: a token revoked meanwhile would pass.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #revoked = new Set<string>();
  readonly #stop = new AbortController();
  #cursor = 0n;
  #freshAt = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** Begins to poll. */
  start(): void {
    this.#loop ??= this.#poll();
  }

  async destroy(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Throws TOKEN_REVOKED, or REVOCATIONS_UNKNOWN when they were not heard of for too long. */
  async check(tokenId: string): Promise<void> {
    if (performance.now() - this.#freshAt > staleMs) await this.#refresh();
    if (performance.now() - this.#freshAt > staleMs) {
      throw new DomainError(
        "REVOCATIONS_UNKNOWN",
        "it cannot be told which tokens are revoked, since workflow-run does not answer",
        {
          retryAfterMs: pollMs,
        },
      );
    }
    if (this.#revoked.has(tokenId))
      throw new DomainError("TOKEN_REVOKED", "the token was revoked; make a new one (attestry token create)");
  }

  async #poll(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#refresh();
      await sleep(pollMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
    }
  }

  /** One fetch at a time, whoever asks for it. */
  #refresh(): Promise<void> {
    this.#pending ??= this.#fetchAll().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetchAll(): Promise<void> {
    const began = performance.now();
    try {
      for (let more = true; more && !this.#stop.signal.aborted; ) {
        const page = await this.#fetchPage();
        for (const id of page.tokenIds) this.#revoked.add(id);
        this.#cursor = page.nextCursor;
        more = page.more;
      }
      // Not the end: what was revoked while the answer travelled may not be in it.
      this.#freshAt = began;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#stop.signal.aborted) this.#options.logger.warn({ reason }, "could not fetch revoked tokens");
    }
  }

  /** A fetch ends when it has taken 4 s or the polling ends, even one that does not listen to its signal. */
  async #fetchPage(): Promise<RevokedPage> {
    const { signal: stopped } = this.#stop;
    stopped.throwIfAborted();
    const own = new AbortController();
    const timer = setTimeout(() => own.abort(new Error(`no answer within ${fetchTimeoutMs / 1000} s`)), fetchTimeoutMs);
    const stop = () => own.abort(stopped.reason);
    stopped.addEventListener("abort", stop, { once: true });
    const { promise: ended, reject } = Promise.withResolvers<never>();
    own.signal.addEventListener("abort", () => reject(own.signal.reason), { once: true });
    try {
      return await Promise.race([this.#options.fetch(this.#cursor, own.signal), ended]);
    } finally {
      clearTimeout(timer);
      stopped.removeEventListener("abort", stop);
    }
  }
}
