import http2, { type ServerHttp2Stream } from "node:http2";
import { DomainError } from "../errors/domain-error.ts";
import { callerIdle } from "./caller-gone.ts";
import type { NodeRequest } from "./rpc-handler.ts";

const breakOffMs = 1_000;

export interface BodyBounds {
  /** All that the body may have, in bytes. */
  maxBytes: number;
  /** How long it may say nothing while more is asked for, in milliseconds. */
  idleMs: number;
}

/**
 * The body of a stream that anyone may open. It is taken as it comes and not as it is read, so that a caller that takes no
 * answers cannot fill the window of its stream meanwhile. Iterating throws MESSAGE_TOO_LARGE and DEADLINE_EXCEEDED.
 */
export function boundedBody(request: NodeRequest, { maxBytes, idleMs }: BodyBounds): AsyncIterable<Uint8Array> {
  // One piece of memory, however small the frames are.
  let bytes: Buffer | undefined;
  let received = 0;
  let isOver = false;
  let fault: unknown;
  let wake: () => void = () => undefined;

  function onData(chunk: Buffer): void {
    if (fault !== undefined) return;
    if (received + chunk.length > maxBytes) {
      fault = new DomainError(
        "MESSAGE_TOO_LARGE",
        `the requests of one such stream may have ${maxBytes} bytes together; more came: open another`,
        { metadata: { expected: String(maxBytes), actual: `at least ${received + chunk.length}` } },
      );
      // Thrown away until then, so that one who takes answers hears why.
      if ("stream" in request) setTimeout(breakOff, breakOffMs, request.stream);
    } else {
      bytes ??= Buffer.allocUnsafe(maxBytes);
      received += chunk.copy(bytes, received);
    }
    wake();
  }
  function onOver(): void {
    isOver = true;
    wake();
  }
  request.on("data", onData).once("end", onOver).once("close", onOver);

  async function change(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    wake = resolve;
    const timer = setTimeout(() => reject(callerIdle(idleMs)), idleMs);
    await promise.finally(() => clearTimeout(timer));
  }
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let given = 0; ; ) {
      if (fault !== undefined) throw fault;
      if (bytes !== undefined && given < received) {
        const part = bytes.subarray(given, received);
        given = received;
        yield part;
      } else if (isOver) return;
      else await change();
    }
  }
  return body();
}

function breakOff(stream: ServerHttp2Stream): void {
  stream.close(http2.constants.NGHTTP2_CANCEL);
  // What waits for its caller would keep it from closing.
  stream.destroy();
}
