/**
 * Does the work for each item, at most `limit` at a time. After a failure no further one begins; it is thrown when
 * those under way have ended.
 */
export async function eachAtOnce<T>(
  items: AsyncGenerator<T, void, void>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let failed = false;
  async function worker(): Promise<void> {
    try {
      // Not for-await: the first worker to leave it would end the generator for all.
      for (;;) {
        const next = failed ? undefined : await items.next();
        if (next === undefined || next.done === true) return;
        await work(next.value);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  }
  const results = await Promise.allSettled(Array.from({ length: limit }, worker));
  await items.return();
  const fault = results.find((result) => result.status === "rejected");
  if (fault !== undefined) throw fault.reason;
}
