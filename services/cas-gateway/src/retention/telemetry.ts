import type { CasBackend } from "@attestry/service-kit";
import { Counter, type Registry } from "prom-client";

type Provider = CasBackend["provider"];
/** `held`: the store refused to let go of it. */
export type Step = "hidden" | "removed" | "restored" | "held";

/** What the sweep of materials past their time counts; one function per event. */
export interface RetentionTelemetry {
  material(provider: Provider, step: Step): void;
  /** A sweep that left a backend as it is, since its store cannot tell what is old from what came just now. */
  unable(provider: Provider): void;
}

export function createRetentionTelemetry(registry: Registry): RetentionTelemetry {
  const registers = [registry];
  const materials = new Counter({
    name: "cas_gateway_retention_materials_total",
    help: "Materials past at_most that were moved out of sight, removed or brought back, or that the store holds",
    labelNames: ["provider", "step"] as const,
    registers,
  });
  const unable = new Counter({
    name: "cas_gateway_retention_unable_total",
    help: "Sweeps that did not apply at_most, since the bucket has no versioning",
    labelNames: ["provider"] as const,
    registers,
  });
  return {
    material: (provider, step) => materials.inc({ provider, step }),
    unable: (provider) => unable.inc({ provider }),
  };
}
