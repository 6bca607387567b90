import { DomainError, parseUuid } from "@attestry/service-kit";
import type { Migration } from "../db/migrations.ts";

/** Throws REQUEST_INVALID: no UUIDs, or one and the same. */
export function parseMigration(
  organizationId: string,
  request: { fromBackendId: string; toBackendId: string },
): Migration {
  const from = parseUuid(request.fromBackendId, "REQUEST_INVALID", "from_backend_id");
  const to = parseUuid(request.toBackendId, "REQUEST_INVALID", "to_backend_id");
  if (from === to) {
    throw new DomainError("REQUEST_INVALID", `from_backend_id and to_backend_id must differ; came ${from} twice`);
  }
  return { organizationId, from, to };
}
