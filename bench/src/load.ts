/** What a load of one kind came to. */
export interface Measurement {
  /** Calls per second. */
  rate: number;
  /** Of one call, in milliseconds. */
  p50: number;
  p95: number;
  p99: number;
}

/** Runs the calls with so many in flight at a time, and measures them. A call that fails ends the bench. */
export async function measure(calls: readonly (() => Promise<unknown>)[], inFlight: number): Promise<Measurement> {
  const times: number[] = [];
  let next = 0;
  async function lane(): Promise<void> {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) {
      const began = performance.now();
      await call();
      times.push(performance.now() - began);
    }
  }
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
  return { rate: times.length / seconds, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** The middle one of several rounds, by rate: one disturbed round does not count. */
export function median(rounds: readonly Measurement[]): Measurement {
  const sorted = [...rounds].sort((a, b) => a.rate - b.rate);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("there was no round");
  return middle;
}

/** Runs tasks with so many in flight at a time, in order of start. */
export async function each<T, R>(items: readonly T[], inFlight: number, task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let index = next++; index < items.length; index = next++) {
        results[index] = await task(items[index] as T);
      }
    }),
  );
  return results;
}
