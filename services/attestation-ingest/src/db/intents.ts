import { type Digest, digestBytes } from "@attestry/bundle";
import type { Pool } from "pg";

export type IntentState = "idle" | "deleting";

/** Notes that a backend may hold bytes to which no row refers: what gc goes by. */
export class Intents {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Notes it, or notes it anew, as a Store's and no more retention's; never waits for gc. "deleting": gc is at it now, so nothing may be uploaded. */
  async touch(intent: { organizationId: string; backendId: string; digest: Digest }): Promise<IntentState> {
    const { rows } = await this.#pool.query<{ state: IntentState }>({
      name: "touch-intent",
      text: `insert into intent (organization_id, backend_id, digest) values ($1, $2, $3)
             on conflict (organization_id, backend_id, digest) do update set touched = now(), retired = false
             returning state`,
      values: [intent.organizationId, intent.backendId, digestBytes(intent.digest)],
    });
    return rows[0]?.state ?? "idle";
  }
}
