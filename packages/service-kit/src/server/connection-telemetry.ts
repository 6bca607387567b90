import { Counter, Gauge, type Registry } from "prom-client";

export interface ConnectionTelemetry {
  opened(): void;
  closed(): void;
  /** There were too many. */
  refused(): void;
}

export function createConnectionTelemetry(metrics: Registry): ConnectionTelemetry {
  const registers = [metrics];
  const open = new Gauge({ name: "attestry_connections", help: "Connections open", registers });
  const refused = new Counter({
    name: "attestry_connections_refused_total",
    help: "Connections ended at once, as HTTP_MAX_CONNECTIONS were open",
    registers,
  });
  return { opened: () => open.inc(), closed: () => open.dec(), refused: () => refused.inc() };
}
