import type { CasBackend } from "@attestry/service-kit";
import { Counter, type Registry } from "prom-client";

type Provider = CasBackend["provider"];
export type Fault = "corrupt" | "missing";

/** What the scrubber counts; one function per event. */
export interface ScrubTelemetry {
  verified(provider: Provider, bytes: number): void;
  /** Something wrong was found, and put right or not. */
  fault(provider: Provider, fault: Fault): void;
  repaired(provider: Provider, fault: Fault): void;
  passFinished(provider: Provider): void;
}

export function createScrubTelemetry(registry: Registry): ScrubTelemetry {
  const registers = [registry];
  const labelNames = ["provider"] as const;
  const verified = new Counter({
    name: "cas_gateway_scrub_blobs_verified_total",
    help: "Blobs that the scrubber read and found right",
    labelNames,
    registers,
  });
  const verifiedBytes = new Counter({
    name: "cas_gateway_scrub_bytes_verified_total",
    help: "Bytes of blobs that the scrubber read and found right",
    labelNames,
    registers,
  });
  const faults = new Counter({
    name: "cas_gateway_scrub_faults_total",
    help: "Blobs that the scrubber found corrupt or missing",
    labelNames: ["provider", "fault"] as const,
    registers,
  });
  const repaired = new Counter({
    name: "cas_gateway_scrub_repaired_total",
    help: "Of those, blobs that it put right from another place",
    labelNames: ["provider", "fault"] as const,
    registers,
  });
  const passes = new Counter({
    name: "cas_gateway_scrub_passes_total",
    help: "Passes over a backend that came to their end",
    labelNames,
    registers,
  });
  return {
    verified(provider, bytes) {
      verified.inc({ provider });
      verifiedBytes.inc({ provider }, bytes);
    },
    fault: (provider, fault) => faults.inc({ provider, fault }),
    repaired: (provider, fault) => repaired.inc({ provider, fault }),
    passFinished: (provider) => passes.inc({ provider }),
  };
}
