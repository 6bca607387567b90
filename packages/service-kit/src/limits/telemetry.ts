import { Counter, type Registry } from "prom-client";

export interface RateTelemetry {
  /** A call was refused. */
  limited(limit: string): void;
  /** Redis was not told of requests. */
  sharedSkipped(): void;
}

export function createRateTelemetry(metrics: Registry): RateTelemetry {
  const registers = [metrics];
  const limited = new Counter({
    name: "attestry_rate_limited_total",
    help: "Calls refused with RATE_LIMITED, by the limit: token, organization, failures",
    labelNames: ["limit"],
    registers,
  });
  const skipped = new Counter({
    name: "attestry_rate_shared_skipped_total",
    help: "Counts of requests that Redis was not told of, as it is away",
    registers,
  });
  return { limited: (limit) => limited.inc({ limit }), sharedSkipped: () => skipped.inc() };
}
