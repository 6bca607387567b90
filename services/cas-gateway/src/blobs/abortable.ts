/**
 * Settles as what was begun does, or rejects with the signal's reason if that comes first; begins nothing if it came
 * already. Leaves no listener behind.
 */
export async function untilAborted<T>(begin: () => Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([begin(), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The items of the source until the signal aborts, which is thrown even while the source has nothing to give. */
export async function* itemsUntilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    while (true) {
      const step = await untilAborted(() => iterator.next(), signal);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    // Not waited for: a source that has nothing to give would hold up the end.
    iterator.return?.()?.catch(() => undefined);
  }
}

/**
 * A controller that also aborts with the parent; `release` takes its listener off the parent, and its timer away.
 * Not AbortSignal.any: that keeps every combined signal alive as long as the parent lives.
 */
export function childController(
  parent: AbortSignal,
  timeout?: { ms: number; reason: () => Error },
): { controller: AbortController; release: () => void } {
  const controller = new AbortController();
  const onAbort = () => controller.abort(parent.reason);
  if (parent.aborted) onAbort();
  parent.addEventListener("abort", onAbort, { once: true });
  const timer = timeout && setTimeout(() => controller.abort(timeout.reason()), timeout.ms);
  timer?.unref();
  return {
    controller,
    release: () => {
      clearTimeout(timer);
      parent.removeEventListener("abort", onAbort);
    },
  };
}
