import { Counter, Gauge, type Metric, type Registry } from "prom-client";

export interface CertificateTelemetry {
  /** New files were found: taken, or refused. */
  reloaded(use: string, result: "taken" | "refused"): void;
  /** Whether the files as they are now can be used. */
  broken(use: string, isBroken: boolean): void;
  validUntil(use: string, until: Date): void;
  /** A client and this server did not come to terms. */
  handshakeFailed(): void;
}

/** One set of metrics for each registry, however many watch certificates. */
export function createCertificateTelemetry(metrics: Registry): CertificateTelemetry {
  const registers = [metrics];
  const reloads = once(metrics, "attestry_tls_reloads_total", (name) => {
    const help = "Certificate files that changed: taken up, or refused because they cannot be used";
    return new Counter({ name, help, labelNames: ["use", "result"], registers });
  });
  const broken = once(metrics, "attestry_tls_files_broken", (name) => {
    const help = "1 while certificate files cannot be used and the ones before stay in use";
    return new Gauge({ name, help, labelNames: ["use"], registers });
  });
  const until = once(metrics, "attestry_tls_certificate_valid_until_seconds", (name) => {
    const help = "When the certificate in use runs out, in seconds since 1970";
    return new Gauge({ name, help, labelNames: ["use"], registers });
  });
  const failed = once(metrics, "attestry_tls_handshakes_failed_total", (name) => {
    const help = "Connections that ended before client and server came to terms over TLS";
    return new Counter({ name, help, registers });
  });
  return {
    reloaded: (use, result) => reloads.inc({ use, result }),
    broken: (use, isBroken) => broken.set({ use }, isBroken ? 1 : 0),
    validUntil: (use, date) => until.set({ use }, date.getTime() / 1000),
    handshakeFailed: () => failed.inc(),
  };
}

function once<M extends Metric>(metrics: Registry, name: string, make: (name: string) => M): M {
  return (metrics.getSingleMetric(name) as M | undefined) ?? make(name);
}
