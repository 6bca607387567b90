import type { ServerHttp2Stream } from "node:http2";
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { DomainError } from "../errors/domain-error.ts";
import type { BodyLease } from "./body-budget.ts";
import { callerGone } from "./caller-gone.ts";
import { prefixBytes } from "./length-prefixed.ts";

type Message = MessageShape<DescMessage>;

export interface ReadingOptions {
  schema: DescMessage;
  /** Largest message, in bytes. */
  maxBytes: number;
  /** Ends the reading with its reason. */
  signal: AbortSignal;
}

/** The messages that a caller streams, to be iterated once. */
export interface IncomingMessages extends AsyncIterableIterator<Message> {
  /** Reads no further; the rest of the body is nobody's. */
  letGo(): void;
}

/**
 * The one message of a call that has one. Throws MESSAGE_TOO_LARGE, REQUEST_MALFORMED, STORE_BUSY, and the signal's
 * reason. By events, since an async iterator costs several turns of the event loop for each of a bundle's frames.
 */
export async function readOne(
  stream: ServerHttp2Stream,
  { schema, maxBytes, signal }: ReadingOptions,
  lease: BodyLease,
): Promise<Message> {
  const chunks: Buffer[] = [];
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    function onData(chunk: Buffer): void {
      try {
        lease.take(chunk.length);
        received += chunk.length;
        if (received > maxBytes + prefixBytes) throw tooLarge(maxBytes, `more than ${received - prefixBytes}`);
        chunks.push(chunk);
      } catch (error) {
        stream.off("data", onData);
        reject(error);
      }
    }
    stream.on("data", onData);
    stream.once("end", resolve);
    // An empty body may have ended while the gate was asked.
    if (stream.readableEnded) resolve();
    stream.once("close", () => reject(callerGone()));
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return parse(schema, unframe(chunks, received));
}

function unframe(chunks: readonly Buffer[], received: number): Buffer {
  const framed = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, received);
  if (received < prefixBytes || framed[0] !== 0 || framed.readUInt32BE(1) !== received - prefixBytes) {
    throw new DomainError(
      "REQUEST_MALFORMED",
      `the body must be one uncompressed message with its length before it; came ${received} bytes that are not`,
    );
  }
  return framed.subarray(prefixBytes);
}

/**
 * Messages as they come. What iterating throws: MESSAGE_TOO_LARGE as soon as a length says so, REQUEST_MALFORMED,
 * the reason of the signal, and CANCELED if the caller went away. A caller that cancels may still look like one that
 * has ended: Node's clients send the end of the stream before its reset.
 */
export function readMany(stream: ServerHttp2Stream, { schema, maxBytes, signal }: ReadingOptions): IncomingMessages {
  const ready: Buffer[] = [];
  const waiting: PromiseWithResolvers<IteratorResult<Message>>[] = [];
  let fault: unknown;
  let state: "open" | "ended" | "failed" | "done" = "open";

  function emit(bytes: Buffer): void {
    ready.push(bytes);
    if (waiting.length > 0) serve();
    // Nothing is read ahead of the handler: what comes meanwhile fills the window of the stream, and no more.
    if (state === "open" && waiting.length === 0) stream.pause();
  }
  /** Gives what is there to those that wait. */
  function serve(): void {
    while (waiting.length > 0 && (ready.length > 0 || state !== "open")) {
      const { resolve, reject } = waiting.shift() as PromiseWithResolvers<IteratorResult<Message>>;
      try {
        resolve(take());
      } catch (error) {
        reject(error);
      }
    }
  }
  function take(): IteratorResult<Message> {
    const bytes = ready.shift();
    if (bytes !== undefined) {
      return { done: false, value: parse(schema, bytes) };
    }
    if (state === "failed") {
      state = "done";
      throw fault;
    }
    return { done: true, value: undefined };
  }
  function stop(next: typeof state): void {
    if (state !== "open") return;
    state = next;
    stream.off("data", assemble);
    serve();
  }
  function fail(error: unknown): void {
    fault = error;
    stop("failed");
  }
  function abort(error: unknown): void {
    ready.length = 0;
    fail(error);
  }
  function letGo(): void {
    ready.length = 0;
    stop("done");
  }

  const { assemble, isWhole } = assembler(maxBytes, emit, fail);
  function onEnd(): void {
    // A reset that came together with the end is heard by then.
    setImmediate(() => {
      if (stream.aborted) abort(callerGone());
      else if (!isWhole()) fail(malformed("the body ends in the middle of a message"));
      else stop("ended");
    });
  }
  stream.on("data", assemble);
  stream.once("end", onEnd);
  // An empty body may have ended while the gate was asked.
  if (stream.readableEnded) onEnd();
  stream.once("aborted", () => abort(callerGone()));
  stream.once("close", () => {
    if (!stream.readableEnded) abort(callerGone());
  });
  signal.addEventListener("abort", () => abort(signal.reason), { once: true });
  if (signal.aborted || stream.destroyed) abort(signal.reason ?? callerGone());

  return {
    letGo,
    next() {
      const step = Promise.withResolvers<IteratorResult<Message>>();
      waiting.push(step);
      serve();
      if (waiting.length > 0 && stream.isPaused()) stream.resume();
      return step.promise;
    },
    return() {
      letGo();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Puts messages together from frames of any size; each has memory of its own, since a frame's may be four times as large. */
function assembler(maxBytes: number, emit: (message: Buffer) => void, fail: (error: unknown) => void) {
  const prefix = Buffer.alloc(prefixBytes);
  let message: Buffer | undefined;
  /** Of the prefix, or of the message after it. */
  let filled = 0;

  function faultOf(flags: number, length: number): DomainError | undefined {
    if (flags !== 0)
      return malformed(`a message begins with the flags ${flags}; only 0, uncompressed, may be sent here`);
    return length > maxBytes ? tooLarge(maxBytes, String(length)) : undefined;
  }
  function assemble(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const target: Buffer = message ?? prefix;
      const copied = chunk.copy(target, filled, at, Math.min(chunk.length, at + target.length - filled));
      at += copied;
      filled += copied;
      if (filled < target.length) return;
      filled = 0;
      if (message === undefined) {
        const length = prefix.readUInt32BE(1);
        const fault = faultOf(prefix[0] ?? 0, length);
        if (fault !== undefined) {
          fail(fault);
          return;
        }
        message = Buffer.allocUnsafe(length);
        if (length > 0) continue;
      }
      const whole = message;
      message = undefined;
      emit(whole);
    }
  }
  return { assemble, isWhole: () => message === undefined && filled === 0 };
}

function parse(schema: DescMessage, bytes: Buffer): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new DomainError("REQUEST_MALFORMED", `the body is no ${schema.typeName}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function tooLarge(maxBytes: number, came: string): DomainError {
  return new DomainError("MESSAGE_TOO_LARGE", `a request of this method may have ${maxBytes} bytes; more came`, {
    metadata: { expected: String(maxBytes), actual: came },
  });
}

function malformed(what: string): DomainError {
  return new DomainError("REQUEST_MALFORMED", `the request cannot be read: ${what}`);
}
