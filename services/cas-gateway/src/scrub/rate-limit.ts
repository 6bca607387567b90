import { setTimeout as sleep } from "node:timers/promises";
import { TokenBucket } from "limiter";

/** Holds readers back, so that all of them together read no more than so many bytes in a second. */
export class RateLimit {
  readonly #bucket: TokenBucket;

  constructor(bytesPerSecond: number) {
    this.#bucket = new TokenBucket({
      bucketSize: bytesPerSecond,
      tokensPerInterval: bytesPerSecond,
      interval: "second",
    });
  }

  /** Resolves when so many bytes are within the rate. Throws when the signal aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const { bucketSize } = this.#bucket;
    for (let left = bytes; left > 0; left -= bucketSize) {
      const part = Math.min(left, bucketSize);
      // Not its own removeTokens, whose timers hear no signal and keep the process.
      while (!this.#bucket.tryRemoveTokens(part)) {
        await sleep(Math.max(1, this.#bucket.getWaitTime(part)), undefined, { signal, ref: false });
      }
    }
  }
}
