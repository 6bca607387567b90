import { concurrently } from "../blobs/concurrently.ts";
import type { Backend } from "./backend.ts";

const lookupsAtATime = 64;

/** The sizes of those keys that are there, by one `describe` for each. */
export async function describeEach(
  backend: Backend,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  await concurrently(keys, lookupsAtATime, async (key) => {
    const found = await backend.describe(key, signal);
    if (found !== undefined) sizes.set(key, found.sizeBytes);
  });
  return sizes;
}
