import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../errors/domain-error.ts";
import type { Logger } from "../observe/logger.ts";

/** Refused everywhere within 10 s is promised: this leaves room for an answer that takes its time. */
const pollMs = 3_000;
const fetchTimeoutMs = 4_000;
const staleMs = 60_000;
/** Remembered for so long after the token ran out, so that a clock which is set back changes nothing. */
const rememberedMs = 24 * 3_600_000;
/** Between two looks for what need not be remembered. */
const forgetEveryMs = 10 * 60_000;

export interface RevokedPage {
  tokenIds: string[];
  /** When each of them runs out, in seconds since 1970; 0: never. Empty: not known, as of an older workflow-run. */
  expiresAtSeconds: bigint[];
  nextCursor: bigint;
  more: boolean;
}

export interface RevocationsOptions {
  /** What was revoked since the cursor (0: all), from workflow-run or its database. */
  fetch: (cursor: bigint, signal: AbortSignal) => Promise<RevokedPage>;
  logger: Logger;
}

/**
 * The revoked API tokens, kept by polling every 3 s, so that no call looks anything up. When they have not been
 * heard of for 60 s, calls are refused: a token revoked meanwhile would pass. One is forgotten a day after its token ran
 * out; of tokens that never do, all are remembered.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  /** With the time after which it is forgotten, by the clock that tokens are judged by. */
  readonly #revoked = new Map<string, number>();
  readonly #stop = new AbortController();
  #cursor = 0n;
  #forgotAt = performance.now();
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
        for (const [index, id] of page.tokenIds.entries()) {
          const seconds = Number(page.expiresAtSeconds[index] ?? 0n);
          this.#revoked.set(id, seconds === 0 ? Number.POSITIVE_INFINITY : seconds * 1_000 + rememberedMs);
        }
        this.#cursor = page.nextCursor;
        more = page.more;
      }
      // Not the end: what was revoked while the answer travelled may not be in it.
      this.#freshAt = began;
      this.#forget();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#stop.signal.aborted) this.#options.logger.warn({ reason }, "could not fetch revoked tokens");
    }
  }

  #forget(): void {
    if (performance.now() - this.#forgotAt < forgetEveryMs) return;
    this.#forgotAt = performance.now();
    for (const [id, until] of this.#revoked) if (until < Date.now()) this.#revoked.delete(id);
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
