import type { CasBackend, CasPrincipal, CasSpace, Logger } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import type { BackendPool } from "../backends/backend-pool.ts";
import { blobKey } from "../blobs/key.ts";
import type { Place, Proofs } from "../blobs/proofs.ts";
import type { References, Whose } from "./references.ts";
import type { ScrubTelemetry } from "./telemetry.ts";

/** What the scrubber works with. */
export interface ScrubContext {
  backends: Pick<BackendPool, "get">;
  proofs: Proofs;
  /** Undefined: nobody says what ought to be there. */
  references: References | undefined;
  telemetry: ScrubTelemetry;
  logger: Logger;
}

/** The backend of an organization that it is at. */
export interface Target {
  /** Names all of the organization's backends. */
  caller: CasPrincipal;
  named: CasBackend;
  backend: Backend;
}

export const spaces = ["blobs", "bundles"] as const satisfies readonly CasSpace[];

export function placeOf({ caller, named, backend }: Target, space: CasSpace, hex: string): Place {
  return { organization: caller.organization, named, backend, key: blobKey(space, hex) };
}

export function whoseOf({ caller, named }: Target): Whose {
  return { organizationId: caller.organizationId, backendId: named.id };
}

/** Whether a bundle is needed there, as far as anybody says so; materials always are. */
export async function isNeeded(
  { references }: ScrubContext,
  target: Target,
  { space, hex }: { space: CasSpace; hex: string },
  signal: AbortSignal,
): Promise<boolean> {
  return space === "blobs" || references === undefined || references.includes(whoseOf(target), hex, signal);
}
