import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "../observe/logger.ts";
import { checkSchema } from "./migrate.ts";

const pollMs = 1_000;

export interface DatabaseReadinessOptions {
  pool: pg.Pool;
  /** Folder with migrations/. */
  schemaDir: string;
  logger: Logger;
}

/** Whether the database can be used: it answers, and has the schema of this build, which is looked at until it has. */
export class DatabaseReadiness {
  readonly #options: DatabaseReadinessOptions;
  #hasSchema = false;

  constructor(options: DatabaseReadinessOptions) {
    this.#options = options;
  }

  /** Rejects with the reason if it cannot be used now. */
  async check(): Promise<void> {
    const { pool, schemaDir } = this.#options;
    if (this.#hasSchema) {
      await pool.query("select 1");
      return;
    }
    await checkSchema(pool, schemaDir);
    this.#hasSchema = true;
  }

  /** Resolves once it can be used, however long that takes, or when the signal ends the wait. Warns once. */
  async wait(signal: AbortSignal): Promise<void> {
    let warned = false;
    while (
      !signal.aborted &&
      !(await this.#canBeUsed((error) => {
        if (!warned) this.#options.logger.warn({ err: error }, "the database cannot be used yet; waiting for it");
        warned = true;
      }))
    ) {
      await sleep(pollMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  #canBeUsed(failed: (error: unknown) => void): Promise<boolean> {
    return this.check().then(
      () => true,
      (error: unknown) => {
        failed(error);
        return false;
      },
    );
  }
}
