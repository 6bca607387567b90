import type { ApiPrincipal } from "@attestry/service-kit";
import { nameRule, parseName } from "../text.ts";
import { type Organization, organizationNotFound } from "./organization.ts";

interface Finder {
  find(id: string): Promise<Organization | null>;
  findByName(name: string): Promise<Organization | null>;
}

/**
 * The caller's own organization, or the one that is named. To all but instance admins the others do not exist.
 * Throws ORGANIZATION_NOT_FOUND, NAME_INVALID.
 */
export async function findOrganization(store: Finder, caller: ApiPrincipal, name: string): Promise<Organization> {
  const wanted = name === "" ? caller.organization : parseName(name, nameRule, "organization");
  const isOwn = wanted === caller.organization;
  if (!isOwn && !caller.instanceAdmin) throw organizationNotFound(wanted);
  const found = isOwn ? await store.find(caller.organizationId) : await store.findByName(wanted);
  if (found === null) throw organizationNotFound(wanted);
  return found;
}
