import { Jobs } from "@attestry/cas-client";

/** Works on items, `limit` at a time, until all are done. The first fault ends all of it, and is thrown when nothing runs any more. */
export async function atATime<T>(
  items: Iterable<T> | AsyncIterable<T>,
  { limit, signal }: { limit: number; signal: AbortSignal },
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const jobs = new Jobs(limit, signal);
  try {
    for await (const item of items) await jobs.run((ended) => work(item, ended));
  } catch (error) {
    jobs.abort(error);
  }
  await jobs.finished();
}
