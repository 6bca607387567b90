import type { CasBackend } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import { probesFolder } from "../blobs/key.ts";
import type { Telemetry } from "../telemetry.ts";

export interface SweepContext {
  telemetry: Pick<Telemetry, "swept">;
  /** How long an upload that broke off can be gone on with, in milliseconds. */
  uploadRetentionMs: number;
}

/**
 * Removes what is left in one backend of uploads that nobody has gone on with for the retention, and counts it; old probes as
 * well. Returns how many uploads it removed. Throws what `Backend.sweep`, `list` and `delete` throw.
 */
export async function sweepBackend(
  { telemetry, uploadRetentionMs }: SweepContext,
  provider: CasBackend["provider"],
  backend: Backend,
  signal: AbortSignal,
): Promise<number> {
  const before = new Date(Date.now() - uploadRetentionMs);
  const swept = await backend.sweep(before, signal);
  telemetry.swept(provider, swept);
  await removeProbes(backend, before, signal);
  return swept;
}

/** Those of validations that were killed before they removed theirs. */
async function removeProbes(backend: Backend, before: Date, signal: AbortSignal): Promise<void> {
  for await (const { key, storedAt } of backend.list(probesFolder, "", signal)) {
    if (storedAt < before) await backend.delete(key, signal);
  }
}
