import { AuditService } from "@attestry/api/audit";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { digestOf } from "../blobs/blob-ref.ts";

export type MaterialAction = "material.expire" | "material.delete" | "material.keep";

export interface MaterialEvent {
  action: MaterialAction;
  hex: string;
  backend: string;
  storedAt: Date;
  /** Why, where the action does not say it. */
  reason?: string;
}

const timeoutMs = 10_000;

/** Has workflow-run keep what becomes of materials: the gateway keeps nothing of its own. */
export class MaterialAudit {
  readonly #audit: Client<typeof AuditService>;

  constructor(run: Transport) {
    this.#audit = createClient(AuditService, run);
  }

  /** At most 200 events; throws PEER_UNAVAILABLE, and then nothing may be done that they tell of. */
  async record(organizationId: string, materials: readonly MaterialEvent[], signal: AbortSignal): Promise<void> {
    if (materials.length === 0) return;
    const events = materials.map(({ action, hex, backend, storedAt, reason }) => ({
      actor: "service cas-gateway",
      action,
      resource: `blob ${digestOf(hex)}`,
      detail: { backend, stored_at: storedAt.toISOString(), ...(reason !== undefined && { reason }) },
    }));
    await this.#audit.record({ organizationId, events }, { signal, timeoutMs });
  }
}
