import type { CasSpace } from "@attestry/service-kit";

/** What validation writes for a moment lies below it; requests for it go to a store also while that is left alone. */
export const probesFolder = "probes/";

/** Where a blob lies below the organization's folder of a backend: two levels of fan-out, so that no folder grows without bound. */
export function blobKey(space: CasSpace, hex: string): string {
  return `${space}/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`;
}
