import type { CasBackend } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import type { Telemetry } from "../telemetry.ts";

export interface SweepContext {
  telemetry: Pick<Telemetry, "swept">;
  /** How long an upload that broke off can be gone on with, in milliseconds. */
  uploadRetentionMs: number;
}

/**
 * Removes what is left in one backend of uploads that nobody has gone on with for the retention, and counts it. Returns
 * how many uploads it removed. Throws what `Backend.sweep` throws.
 */
export async function sweepBackend(
  { telemetry, uploadRetentionMs }: SweepContext,
  provider: CasBackend["provider"],
  backend: Backend,
  signal: AbortSignal,
): Promise<number> {
  const swept = await backend.sweep(new Date(Date.now() - uploadRetentionMs), signal);
  telemetry.swept(provider, swept);
  return swept;
}
