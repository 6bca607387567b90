/** Settles with the promise, or rejects with the signal's reason if that comes first. Leaves no listener behind. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * A controller that also aborts with the parent; `release` takes its listener off the parent, and its timer away.
 * Not AbortSignal.any: that keeps every combined signal alive as long as the parent lives.
 */
export function childController(parent: AbortSignal, timeout?: { ms: number; reason: () => Error }): { controller: AbortController; release: () => void } {
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
