import { collectDefaultMetrics, Registry } from "prom-client";

/** The metrics of one process; the chassis serves them at /metrics. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
