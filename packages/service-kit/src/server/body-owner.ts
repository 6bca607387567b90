import type { ContextValues } from "@connectrpc/connect";
import { principalKey } from "../auth/principal.ts";
import type { BodyLease } from "./body-budget.ts";

/** No organization has this for its id. */
const nobody = "nobody";

/**
 * Counts a body as its caller's, once the gate has said who that is: its organization's, or of all together who need no
 * token. Services are not counted apart.
 */
export function nameOwner(lease: BodyLease, values: ContextValues): void {
  const principal = values.get(principalKey);
  if (principal === undefined) lease.ownedBy(nobody);
  else if ("organizationId" in principal) lease.ownedBy(principal.organizationId);
}
