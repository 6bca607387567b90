import type { CasBackend, CasSpace } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { blobKey } from "../blobs/key.ts";
import { LeaseLostError } from "./lease.ts";
import { type Pace, paced } from "./prove.ts";
import { isNeeded, placeOf, type ScrubContext, spaces, type Target } from "./target.ts";

/**
 * Looks for the right bytes in the organization's backends, in the order of reads and in both key spaces, and stores
 * them; the write proves them. False: there were none, or the backend did not take them.
 *
 * A bundle that nothing refers to any more is not written: gc may be deleting it, and would not come again. One that
 * is referred to is safe from gc for a day, which is longer than this takes.
 */
export async function repair(
  context: ScrubContext,
  target: Target,
  { space, hex }: { space: CasSpace; hex: string },
  pace: Pace,
): Promise<boolean> {
  if (!(await isNeeded(context, target, { space, hex }, pace.signal))) return false;
  const place = placeOf(target, space, hex);
  for (const named of target.caller.backends) {
    for (const from of [space, ...spaces.filter((other) => other !== space)]) {
      const key = blobKey(from, hex);
      const blob = await attempt(context, async () => {
        const source = await backendOf(context, target, named);
        return source === target.backend && key === place.key ? undefined : copy({ source, key, hex }, place, pace);
      });
      pace.signal.throwIfAborted();
      if (blob === undefined) continue;
      await context.proofs.addWritten(place, blob, pace.signal);
      return true;
    }
  }
  return false;
}

/** One that is away, or holds the wrong bytes too, is no reason not to look at the next. */
async function attempt<T>({ logger }: ScrubContext, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof LeaseLostError) throw error;
    logger.debug({ err: error }, "a blob could not be repaired from one place");
    return undefined;
  }
}

function backendOf({ backends }: ScrubContext, target: Target, named: CasBackend): Promise<Backend> | Backend {
  return named === target.named ? target.backend : backends.get(target.caller.organization, named);
}

async function copy(
  { source, key, hex }: { source: Backend; key: string; hex: string },
  place: { backend: Backend; key: string },
  pace: Pace,
): Promise<BlobRef | undefined> {
  const opened = await source.read(key, { offset: 0, length: undefined }, pace.signal);
  if (opened === undefined) return undefined;
  try {
    const blob = { hex, sizeBytes: opened.sizeBytes };
    const fileName = await source.fileName(key, pace.signal);
    await place.backend.write(place.key, blob, paced(opened, pace), { signal: pace.signal, fileName });
    return blob;
  } finally {
    await opened.close();
  }
}
