import type { WriteRequest } from "@attestry/api/bytestream";
import { type BodyPace, DomainError, tooSlow } from "@attestry/service-kit";
import type { ResourceNames, WriteName } from "./resource-name.ts";
import { sizeMismatch } from "./verified.ts";

export interface ReceivedWrite {
  name: WriteName;
  /** Where in the blob the bytes begin; 0 if they are compressed. */
  offset: number;
  /** Whether the first message is also the last: all bytes are here. */
  whole: boolean;
  /** Ends normally only if the client finished the write by the rules of ByteStream; iterate it once. */
  body: AsyncIterable<Uint8Array>;
  /** Bytes that came, as they came. */
  receivedBytes(): number;
}

export interface ReceiveOptions {
  names: ResourceNames;
  signal: AbortSignal;
  /** How long the client may send no bytes of the blob, and how fast it has to send them. */
  pace: BodyPace;
}

/** Clients need not end their side of the stream to be answered; this long it is looked whether they send more than they said. */
const afterFinishMs = 1_000;

/**
 * Reads the first message of a write. The body that comes with it throws WRITE_OFFSET_INVALID, WRITE_UNFINISHED,
 * SIZE_MISMATCH, RESOURCE_NAME_INVALID or DEADLINE_EXCEEDED where the stream breaks the rules. That the stream ends
 * proves nothing: a client that dies or cancels can look like one that ended. Only finish_write does.
 */
export async function receiveWrite(
  messages: AsyncIterable<WriteRequest>,
  options: ReceiveOptions,
): Promise<ReceivedWrite> {
  const next = receiver(messages, options);
  const first = await next(false);
  if (first === undefined) throw unfinished(0);
  const name = options.names.write(first.resourceName);
  const offset = firstOffset(first.writeOffset, name);
  const body = new WriteBody(first, next, { name, offset });
  return { name, offset, whole: first.finishWrite, body: body.bytes(), receivedBytes: () => body.receivedBytes };
}

/** Of a compressed upload only 0: what came of one that broke off is not kept. */
function firstOffset(offset: bigint, { compressor, sizeBytes = 0 }: WriteName): number {
  const most = compressor === "identity" ? sizeBytes : 0;
  if (offset >= 0n && offset <= BigInt(most)) return Number(offset);
  const expected =
    compressor === "identity" ? `write_offset from 0 to ${most}` : "write_offset 0 of a compressed upload";
  throw offsetInvalid(expected, String(offset));
}

class WriteBody {
  receivedBytes = 0;
  readonly #first: WriteRequest;
  readonly #next: (isFinished: boolean) => Promise<Received>;
  readonly #name: WriteName;
  readonly #offset: number;

  constructor(
    first: WriteRequest,
    next: (isFinished: boolean) => Promise<Received>,
    { name, offset }: { name: WriteName; offset: number },
  ) {
    this.#first = first;
    this.#next = next;
    this.#name = name;
    this.#offset = offset;
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, void> {
    const { resourceName } = this.#first;
    const { sizeBytes, offsetsOmitted = false } = this.#name;
    const isCompressed = this.#name.compressor !== "identity";
    let finished = false;
    for (let message: Received = this.#first; message !== undefined; message = await this.#next(finished)) {
      const { data } = message;
      if (finished)
        throw offsetInvalid("nothing after finish_write", `${data.byteLength} bytes at ${message.writeOffset}`);
      if (message.resourceName !== "" && message.resourceName !== resourceName) throw renamed(this.#first, message);
      // Of compressed bytes too: the API mixes the two kinds of offsets, which are one if all begins at 0.
      const expected = this.#offset + this.receivedBytes;
      if (message.writeOffset !== BigInt(expected) && !(offsetsOmitted && message.writeOffset === 0n))
        throw offsetInvalid(`write_offset ${expected}`, String(message.writeOffset));
      this.receivedBytes += data.byteLength;
      const end = expected + data.byteLength;
      if (!isCompressed && sizeBytes !== undefined && end > sizeBytes) throw sizeMismatch(sizeBytes, `at least ${end}`);
      finished = message.finishWrite;
      if (data.byteLength > 0) yield data;
    }
    if (!finished) throw unfinished(this.#offset + this.receivedBytes);
  }
}

/** Undefined: the end. */
type Received = WriteRequest | undefined;

/**
 * Gives the next message. It rejects when the signal aborts or the client is silent for too long, or drips: messages without
 * bytes of the blob do not count, nor does the time in which none is asked for. After finish_write silence is the end.
 */
function receiver(
  messages: AsyncIterable<WriteRequest>,
  { signal, pace }: ReceiveOptions,
): (isFinished: boolean) => Promise<Received> {
  const iterator = messages[Symbol.asyncIterator]();
  const { idleMs } = pace;
  let leftMs = idleMs;
  let waitedMs = 0;
  let received = 0;
  return async (isFinished) => {
    const begunAt = performance.now();
    const ms = isFinished ? Math.min(leftMs, afterFinishMs) : leftMs;
    const message = await nextMessage(iterator, {
      signal,
      ms,
      fault: () => (isFinished ? undefined : silence(idleMs)),
    });
    if (message === undefined) return undefined;
    const tookMs = performance.now() - begunAt;
    waitedMs += tookMs;
    received += message.data.byteLength;
    leftMs = message.data.byteLength === 0 ? leftMs - tookMs : idleMs;
    // What ends the write has come, however slowly.
    const slow = message.finishWrite ? undefined : tooSlow(pace, received, waitedMs);
    if (slow !== undefined) throw slow;
    return message;
  };
}

function nextMessage(
  iterator: AsyncIterator<WriteRequest>,
  { signal, ms, fault }: { signal: AbortSignal; ms: number; fault: () => DomainError | undefined },
): Promise<Received> {
  // One promise for all three ends: this runs for every message of every upload.
  return new Promise((resolve, reject) => {
    const timer = setTimeout(onSilence, ms).unref();
    function onSilence(): void {
      const silent = fault();
      settle(() => (silent === undefined ? resolve(undefined) : reject(silent)));
    }
    const onAbort = () => settle(() => reject(signal.reason));
    function settle(how: () => void): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      how();
    }
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    iterator.next().then(
      (step) => settle(() => resolve(step.done === true ? undefined : step.value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

function unfinished(received: number): DomainError {
  return new DomainError(
    "WRITE_UNFINISHED",
    `the stream ended after ${received} bytes without finish_write; QueryWriteStatus tells where to go on`,
    {
      metadata: { expected: "finish_write", actual: `end of the stream after ${received} bytes` },
    },
  );
}

function offsetInvalid(expected: string, actual: string): DomainError {
  return new DomainError("WRITE_OFFSET_INVALID", `expected ${expected}, got ${actual}`, {
    metadata: { expected, actual },
  });
}

function renamed(first: WriteRequest, later: WriteRequest): DomainError {
  const [expected, actual] = [first, later].map(({ resourceName }) => resourceName.slice(0, 300));
  return new DomainError(
    "RESOURCE_NAME_INVALID",
    `the resource name changed within one write: expected ${expected}, got ${actual}`,
    {
      metadata: { expected: expected ?? "", actual: actual ?? "" },
    },
  );
}

function silence(idleMs: number): DomainError {
  return new DomainError("DEADLINE_EXCEEDED", `the client sent nothing for ${idleMs} ms; the write was broken off`);
}
