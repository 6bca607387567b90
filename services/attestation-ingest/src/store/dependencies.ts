import type { Digest } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";
import type { Attestations } from "../db/attestations.ts";
import { type SettleContext, settledOrRefused } from "./settle.ts";

/**
 * Passes if the organization has each of the attestations that another names as its materials. Nothing is asked if there
 * are none. One that lacks the visible mark counts if its run is a success, as for Get.
 * Throws DEPENDENCY_NOT_FOUND for the first that is missing, PEER_UNAVAILABLE.
 */
export async function checkDependencies(
  context: SettleContext & { attestations: Pick<Attestations, "shown" | "ofDigest"> },
  organizationId: string,
  dependencies: readonly Digest[],
): Promise<void> {
  if (dependencies.length === 0) return;
  const shown = await context.attestations.shown(organizationId, dependencies);
  for (const digest of dependencies) {
    if (shown.has(digest)) continue;
    const hidden = await context.attestations.ofDigest({ organizationId, digest });
    if (hidden === undefined || !(await settledOrRefused(context, hidden))) throw notFound(digest);
  }
}

function notFound(digest: Digest): DomainError {
  return new DomainError("DEPENDENCY_NOT_FOUND", `dependent attestation not found: ${digest}`, {
    metadata: { digest },
  });
}
