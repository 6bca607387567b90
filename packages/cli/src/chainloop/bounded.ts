/** Of one call, however long the whole import may take. */
const longestCallMs = 2 * 60_000;

/** The options of a call, with a time of its own. */
export function bounded<T extends { timeoutMs?: number | undefined }>(call: T, mostMs = longestCallMs): T {
  return { ...call, timeoutMs: Math.min(call.timeoutMs ?? mostMs, mostMs) };
}
