import { type Backend, backendUnavailable, type OpenBlob } from "../backends/backend.ts";
import { childController, untilAborted } from "../blobs/abortable.ts";
import { hashOf } from "../blobs/hash-of.ts";
import type { RateLimit } from "./rate-limit.ts";

const idleMs = 60_000;

/** How the scrubber reads: slowly, and telling that it goes on. */
export interface Pace {
  limit: RateLimit;
  /** Called after each chunk. */
  progress: () => Promise<void>;
  /** Writes down where it is and what it found. */
  save: () => Promise<void>;
  signal: AbortSignal;
}

export type Proof =
  | { result: "absent" }
  /** Bytes that were read, and when it was opened, in milliseconds since 1970. */
  | { result: "right" | "wrong"; sizeBytes: number; openedAt: number };

/** A blob could not be read; whether it is the blob that fails or all of the backend is not known. */
export class UnreadableError extends Error {
  constructor(cause: unknown) {
    super("a blob could not be read", { cause });
  }
}

/**
 * Reads what is under a key to its end, and compares it with the digest and with the size by which the backend knows it.
 * Throws UnreadableError for what the backend throws, also if it falls silent for a minute.
 */
export async function prove(backend: Backend, key: string, hex: string, pace: Pace): Promise<Proof> {
  const openedAt = Date.now();
  const whole = { offset: 0, length: undefined };
  const opened = await backend.read(key, whole, pace.signal).catch(unreadable(pace.signal));
  if (opened === undefined) return { result: "absent" };
  try {
    const read = await hashOf(paced(opened, pace));
    const isRight = read.hex === hex && read.sizeBytes === opened.sizeBytes;
    return { result: isRight ? "right" : "wrong", sizeBytes: read.sizeBytes, openedAt };
  } finally {
    await opened.close();
  }
}

/** The bytes of a blob at the scrubber's pace. It is still to be closed. Throws UnreadableError. */
export async function* paced(
  { chunks }: OpenBlob,
  { limit, progress, signal }: Pace,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  while (true) {
    const { controller, release } = childController(signal, { ms: idleMs, reason: silent });
    const step = await untilAborted(() => iterator.next(), controller.signal)
      .catch(unreadable(signal))
      .finally(release);
    if (step.done === true) return;
    await limit.take(step.value.byteLength, signal);
    await progress();
    yield step.value;
  }
}

/** Not the end of the scrubber itself. */
function unreadable(signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    signal.throwIfAborted();
    throw new UnreadableError(error);
  };
}

function silent(): Error {
  return backendUnavailable(`the backend sent nothing for ${idleMs / 1_000} s`, undefined);
}
