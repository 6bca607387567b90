import { firstIdAt } from "@attestry/service-kit";
import type { Pool } from "pg";
import { requeueMissing } from "./db/missing-uploads.ts";
import type { Telemetry } from "./telemetry.ts";

const windowRows = 1_000;
const firstId = firstIdAt(0);

/**
 * Finds attestations whose upload is missing and writes it anew. An upload is written with its attestation in one
 * statement, so only a restored or repaired database lacks any: there is no hurry. A round looks at 1,000 rows however
 * large the table is; the place is in memory only, so a replica begins anew after a restart and at the end of the
 * table, and with a million rows, at a round each 5 s, comes by each of them every hour and a half. Replicas walk each
 * by itself; what two find at once is written once.
 */
export class MissingUploads {
  readonly #pool: Pool;
  readonly #telemetry: Telemetry;
  #lastId = firstId;

  constructor({ pool, telemetry }: { pool: Pool; telemetry: Telemetry }) {
    this.#pool = pool;
    this.#telemetry = telemetry;
  }

  async round(): Promise<void> {
    const { rows, requeued, lastId } = await requeueMissing(this.#pool, this.#lastId, windowRows);
    this.#lastId = rows < windowRows || lastId === undefined ? firstId : lastId;
    for (let n = 0; n < requeued; n++) this.#telemetry.reconciled("requeued");
  }
}
