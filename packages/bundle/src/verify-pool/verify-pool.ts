import { Tinypool } from "tinypool";
import { BundleError } from "../error.ts";
import { type BundleLimits, DEFAULT_LIMITS } from "../limits.ts";
import { VerifyPoolError } from "./error.ts";
import type { Answer, Message, Verification, VerifyResult, VerifyTask } from "./task.ts";

export interface VerifyPoolOptions {
  /** How many bundles are worked at at a time. */
  threads: number;
  /** Most bytes of bundles that wait or are worked at; one bundle is taken whatever its size if there is no other. */
  queueBytes: number;
  /**
   * Most JavaScript heap of a thread, in MiB (1,024). A bundle of 32 MiB of the worst shape tried (millions of names in one
   * object) needs less than half of it, so the bound is only there to keep a fault from the process. It should not be
   * reached: V8 may end the process where it cannot end the thread.
   */
  heapMebibytes?: number;
  /** Of each bundle. */
  limits?: BundleLimits;
}

/**
 * Threads that parse, hash and verify bundles, so that no event loop waits for it. They start with the first bundle, and
 * keep no process alive while they have none.
 */
export class VerifyPool {
  readonly #options: VerifyPoolOptions;
  readonly #underWay = new Set<Promise<unknown>>();
  #threads: Tinypool | undefined;
  #bytes = 0;
  #closing = false;

  constructor(options: VerifyPoolOptions) {
    this.#options = options;
  }

  /**
   * Reads a bundle, and verifies it as `task` says. The bytes are copied at once and stay the caller's. A signal takes
   * out of the queue what has not begun; what has begun goes on unheeded, for to end it would cost a thread.
   *
   * Throws BundleError as parseBundle, checkSignature, parseTrustPolicy and verifyTrusted do; VerifyPoolError
   * VERIFIER_CRASHED: the thread died of it, STORE_BUSY: the queue is full, SHUTTING_DOWN; and the signal's reason.
   */
  async run<Task extends VerifyTask>(
    bytes: Uint8Array,
    task: Task,
    signal?: AbortSignal,
  ): Promise<VerifyResult<Task["check"]>> {
    signal?.throwIfAborted();
    this.#checkRoom(bytes.byteLength);
    const copy = new Uint8Array(bytes);
    // A buffer that was sent has no length any more.
    const size = copy.byteLength;
    const withdrawal = new AbortController();
    const begun = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const work = this.#work(copy, task, begun, withdrawal.signal);
    this.#underWay.add(work);
    this.#bytes += size;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = () => {
      if (Atomics.load(begun, 0) === 0) {
        withdrawal.abort();
      }
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const released = work.finally(() => {
      signal?.removeEventListener("abort", onAbort);
      this.#underWay.delete(work);
      this.#bytes -= size;
    });
    return (await Promise.race([released, aborted])) as VerifyResult<Task["check"]>;
  }

  /** Finishes what was taken on, refuses what comes, and ends the threads. */
  async close(): Promise<void> {
    this.#closing = true;
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay);
    }
    await this.#threads?.destroy();
    this.#threads = undefined;
  }

  #checkRoom(size: number): void {
    if (this.#closing) {
      throw new VerifyPoolError("SHUTTING_DOWN", "the service is shutting down; try again elsewhere");
    }
    if (this.#bytes > 0 && this.#bytes + size > this.#options.queueBytes) {
      throw new VerifyPoolError("STORE_BUSY", "too many bundles wait to be verified; try again later");
    }
  }

  async #work(
    bytes: Uint8Array<ArrayBuffer>,
    task: VerifyTask,
    begun: Int32Array,
    withdrawal: AbortSignal,
  ): Promise<VerifyResult<keyof Verification>> {
    const { limits = DEFAULT_LIMITS } = this.#options;
    let answer = await this.#send({ bytes, begun, limits, task: withoutPolicy(task) }, withdrawal);
    if ("policyMissing" in answer) {
      answer = await this.#send({ bytes: answer.policyMissing, begun, limits, task }, withdrawal);
    }
    if ("refused" in answer) {
      const { code, message, metadata } = answer.refused;
      throw new BundleError(code, message, { metadata });
    }
    if (!("found" in answer)) {
      throw new Error("a thread failed to verify a bundle", { cause: "failed" in answer ? answer.failed : answer });
    }
    for (const subject of answer.found.summary.subjects) {
      // On its way from the thread it came by a prototype, and with it by names of digests that are none.
      Object.setPrototypeOf(subject.digests, null);
    }
    return answer.found;
  }

  async #send(message: Message, signal: AbortSignal): Promise<Answer> {
    this.#threads ??= this.#start();
    try {
      return await this.#threads.run(message, { signal, transferList: [message.bytes.buffer] });
    } catch (cause) {
      signal.throwIfAborted();
      throw new VerifyPoolError("VERIFIER_CRASHED", "the thread that verified the bundle died; try again", cause);
    }
  }

  #start(): Tinypool {
    const { threads, heapMebibytes = 1024 } = this.#options;
    const pool = new Tinypool({
      filename: new URL("./worker.ts", import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      resourceLimits: { maxOldGenerationSizeMb: heapMebibytes },
    });
    // A thread that dies between two bundles is replaced; nobody waits for it.
    pool.on("error", () => undefined);
    return pool;
  }
}

function withoutPolicy(task: VerifyTask): Message["task"] {
  if (task.check !== "trusted") {
    return task;
  }
  const { check, policyKey, receivedAt } = task;
  return { check, policyKey, receivedAt };
}
