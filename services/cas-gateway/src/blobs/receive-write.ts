import type { WriteRequest } from "@attestry/api/bytestream";
import { DomainError } from "@attestry/service-kit";
import { untilAborted } from "./abortable.ts";
import { parseWriteName, type UploadName } from "./resource-name.ts";

export interface ReceivedWrite {
  name: UploadName;
  /** Whether the first message is also the last: all bytes are here. */
  whole: boolean;
  /** Ends normally only if the client finished the write by the rules of ByteStream; iterate it once. */
  body: AsyncIterable<Uint8Array>;
}

export interface ReceiveOptions {
  signal: AbortSignal;
  /** How long the client may be silent, in milliseconds. */
  idleMs: number;
}

/**
 * Reads the first message of a write. The body that comes with it throws WRITE_OFFSET_INVALID, WRITE_UNFINISHED,
 * SIZE_MISMATCH, RESOURCE_NAME_INVALID or DEADLINE_EXCEEDED where the stream breaks the rules. That the stream ends
 * proves nothing: a client that dies or cancels can look like one that ended. Only finish_write does.
 */
export async function receiveWrite(
  messages: AsyncIterable<WriteRequest>,
  options: ReceiveOptions,
): Promise<ReceivedWrite> {
  const iterator = messages[Symbol.asyncIterator]();
  const next = () => nextMessage(iterator, options);
  const first = await next();
  if (first === undefined) throw unfinished(0);
  const name = parseWriteName(first.resourceName);
  return { name, whole: first.finishWrite, body: bodyOf(first, next, name.sizeBytes) };
}

async function* bodyOf(
  first: WriteRequest,
  next: () => Promise<WriteRequest | undefined>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  let received = 0;
  let finished = false;
  for (let message: WriteRequest | undefined = first; message !== undefined; message = await next()) {
    if (finished)
      throw offsetInvalid("nothing after finish_write", `${message.data.byteLength} bytes at ${message.writeOffset}`);
    if (message.resourceName !== "" && message.resourceName !== first.resourceName) throw renamed(first, message);
    if (message.writeOffset !== BigInt(received))
      throw offsetInvalid(`write_offset ${received}`, String(message.writeOffset));
    received += message.data.byteLength;
    if (received > sizeBytes) throw tooMany(sizeBytes, received);
    finished = message.finishWrite;
    if (message.data.byteLength > 0) yield message.data;
  }
  if (!finished) throw unfinished(received);
}

async function nextMessage(
  iterator: AsyncIterator<WriteRequest>,
  { signal, idleMs }: ReceiveOptions,
): Promise<WriteRequest | undefined> {
  const silent = Promise.withResolvers<never>();
  const timer = setTimeout(() => silent.reject(silence(idleMs)), idleMs).unref();
  try {
    const step = await untilAborted(() => Promise.race([iterator.next(), silent.promise]), signal);
    return step.done === true ? undefined : step.value;
  } finally {
    clearTimeout(timer);
  }
}

function unfinished(received: number): DomainError {
  return new DomainError(
    "WRITE_UNFINISHED",
    `the stream ended after ${received} bytes without finish_write; nothing was kept`,
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

function tooMany(expected: number, received: number): DomainError {
  return new DomainError("SIZE_MISMATCH", `the resource name says ${expected} bytes, at least ${received} came`, {
    metadata: { expected: String(expected), actual: `at least ${received}` },
  });
}

function silence(idleMs: number): DomainError {
  return new DomainError("DEADLINE_EXCEEDED", `the client sent nothing for ${idleMs} ms; the write was given up`);
}
