import { DomainError } from "@attestry/service-kit";
import { Tinypool } from "tinypool";
import type { ContractText } from "./contract.ts";
import { type Parsed, parseContract } from "./parse-contract.ts";

/** In bytes. */
export const largestContract = 1024 * 1024;
/** Up to this size a text is parsed in the event loop: measured at some 50 ms for the worst of them, 2 ms for a usual one. */
const largestInline = 8 * 1024;
/** Texts that wait for the thread. */
const mostWaiting = 16;

/** Reads the texts of contracts, large ones in a thread of its own: 1 MiB of YAML can take seconds. */
export class ContractReader {
  #thread: Tinypool | undefined;

  /** The text with its format. Throws CONTRACT_INVALID, STORE_BUSY. */
  async read(text: Uint8Array, what: string): Promise<ContractText> {
    if (text.length > largestContract) {
      throw new DomainError("CONTRACT_INVALID", `${what} must have at most 1 MiB; came ${text.length} bytes`, {
        metadata: { expected: `1..${largestContract} bytes`, actual: `${text.length} bytes` },
      });
    }
    const parsed = text.length <= largestInline ? parseContract(text) : await this.#inThread(text);
    if ("format" in parsed) return { text, format: parsed.format };
    const { fault, line, column } = parsed;
    const place = line === undefined ? {} : { line: String(line), column: String(column) };
    const where = line === undefined ? "" : ` at line ${line}, column ${column}`;
    throw new DomainError(
      "CONTRACT_INVALID",
      `${what} must be JSON or YAML with an object at its top: ${fault}${where}`,
      {
        metadata: { expected: "a JSON or YAML object", actual: fault, ...place },
      },
    );
  }

  async destroy(): Promise<void> {
    await this.#thread?.destroy();
    this.#thread = undefined;
  }

  async #inThread(text: Uint8Array): Promise<Parsed> {
    this.#thread ??= new Tinypool({
      filename: new URL("./contract-worker.ts", import.meta.url).href,
      ...{ minThreads: 0, maxThreads: 1, maxQueue: mostWaiting, idleTimeout: 10_000 },
    });
    if (this.#thread.queueSize >= mostWaiting) {
      throw new DomainError("STORE_BUSY", "too many contracts wait to be read; try again later", {
        retryAfterMs: 1_000,
      });
    }
    return this.#thread.run(text);
  }
}
