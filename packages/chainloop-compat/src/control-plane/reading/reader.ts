import { createHash } from "node:crypto";
import { DomainError, type Reason } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";
import { Tinypool } from "tinypool";
import { perform } from "./perform.ts";
import type { BundleTask, Reading, ReadingAnswer, ReadingTask } from "./task.ts";

/** Up to this size a bundle is read in the event loop: some milliseconds for the worst of them. In bytes. */
const largestInline = 16 * 1024;
/** The same of a contract: YAML takes a hundred times as long as JSON. */
const largestInlineContract = 1024;
/** As natively. */
const largestContract = 1024 * 1024;
const mostWaiting = 32;
const timeoutMs = 20_000;
/** Of what contracts were read as, in bytes. */
const contractCacheBytes = 16 * 1024 * 1024;

/** Reads contracts and bundles, large ones in a thread: whoever may store one must not hold up everybody else. */
export class Reader {
  #threads: Tinypool | undefined;
  /** By SHA-256 of the text: each answer that shows a contract reads it again. */
  readonly #contracts = new LRUCache<string, Reading["contract"]>({
    maxSize: contractCacheBytes,
    sizeCalculation: ({ schema, name, description, problem }) =>
      schema.length + name.length + description.length + problem.length + 100,
  });

  /** One that is to be kept. Throws CONTRACT_INVALID for what the client could not work by, STORE_BUSY. */
  async newContract(text: Uint8Array, signal: AbortSignal): Promise<Reading["contract"]> {
    const contract = await this.contract(text, signal);
    if (contract.problem !== "")
      throw new DomainError("CONTRACT_INVALID", `the contract is not valid: ${contract.problem}`);
    return contract;
  }

  /** One that is kept, which may be none of this client's. Throws CONTRACT_INVALID for what is too large, STORE_BUSY. */
  async contract(text: Uint8Array, signal: AbortSignal): Promise<Reading["contract"]> {
    if (text.length > largestContract) {
      throw new DomainError("CONTRACT_INVALID", `a contract has at most 1 MiB; came ${text.length} bytes`, {
        metadata: { expected: `at most ${largestContract} bytes`, actual: `${text.length} bytes` },
      });
    }
    const key = createHash("sha256").update(text).digest("base64");
    const known = this.#contracts.get(key);
    if (known !== undefined) return known;
    const read = await this.#run<"contract">({ kind: "contract", text }, text.length > largestInlineContract, signal);
    this.#contracts.set(key, read);
    return read;
  }

  /** Throws what parseBundle throws, STORE_BUSY. */
  bundle<T extends BundleTask>(task: T, signal: AbortSignal): Promise<Reading[T["kind"]]> {
    const evaluations = "evaluations" in task ? (task.evaluations?.length ?? 0) : 0;
    return this.#run<T["kind"]>(task, task.bundle.length + evaluations > largestInline, signal);
  }

  async destroy(): Promise<void> {
    await this.#threads?.destroy();
    this.#threads = undefined;
  }

  async #run<K extends ReadingTask["kind"]>(
    task: ReadingTask & { kind: K },
    isLarge: boolean,
    signal: AbortSignal,
  ): Promise<Reading[K]> {
    const answer = isLarge ? await this.#inThread(task, signal) : perform(task);
    if ("read" in answer) return answer.read as Reading[K];
    const { code, message, metadata } = answer.refused;
    throw new DomainError(code as Reason, message, { metadata });
  }

  async #inThread(task: ReadingTask, signal: AbortSignal): Promise<ReadingAnswer> {
    this.#threads ??= new Tinypool({
      filename: new URL("./worker.ts", import.meta.url).href,
      ...{ minThreads: 0, maxThreads: 1, maxQueue: mostWaiting, idleTimeout: 10_000 },
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    if (this.#threads.queueSize >= mostWaiting)
      throw new DomainError("STORE_BUSY", "too much waits to be read; try again", { retryAfterMs: 1_000 });
    const ends = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      return await this.#threads.run(task, { signal: ends });
    } catch (error) {
      signal.throwIfAborted();
      if (ends.aborted) throw new DomainError("STORE_BUSY", "what was to be read takes too long", { cause: error });
      throw error;
    }
  }
}
