import { randomUUID } from "node:crypto";
import { CasSpace } from "@attestry/api/run";
import { type CasBackend, type CasPrincipal, type Logger, Periodic, reasonOf } from "@attestry/service-kit";
import type { BackendPool } from "../backends/backend-pool.ts";
import type { Config } from "../config.ts";
import { Lease, LeaseLostError } from "../scrub/lease.ts";
import type { Organizations } from "../scrub/organizations.ts";
import type { MaterialAudit } from "./audit.ts";
import { expireMaterials } from "./expire-materials.ts";
import { lifeOf } from "./keeping.ts";
import type { RetentionTelemetry } from "./telemetry.ts";

export interface MaterialSweeperOptions {
  organizations: Organizations;
  backends: Pick<BackendPool, "get">;
  audit: Pick<MaterialAudit, "record">;
  telemetry: RetentionTelemetry;
  logger: Logger;
  config: Pick<Config, "retentionEveryMs" | "retentionGraceMs">;
}

const leaseMs = 60_000;
const farewellMs = 500;
const longestEndMs = 1_000;

/**
 * Applies at_most to materials: time after time, to each external backend of each organization. Bundles are not its
 * business, they go when attestation-ingest says so.
 */
export class MaterialSweeper {
  readonly #options: MaterialSweeperOptions;
  readonly #owner = randomUUID();
  readonly #periodic: Periodic;
  /**
   * By performance.now(), one interval after workflow-run first said which organizations there are: after a long stop
   * the grace of everything is over, and whoever started this may want to raise a bound first.
   */
  #removesFrom: number | undefined;
  /** Backends that were told of. */
  readonly #warned = new Set<string>();

  constructor(options: MaterialSweeperOptions) {
    this.#options = options;
    this.#periodic = new Periodic({
      name: "the sweep of materials past at_most",
      intervalMs: options.config.retentionEveryMs,
      work: (signal) => this.sweepAll(signal),
      longestEndMs,
      logger: options.logger,
    });
  }

  start(): void {
    this.#periodic.start();
  }

  /** Resolves within a second, even if a store hangs in the system and hears no signal. */
  destroy(): Promise<void> {
    return this.#periodic.destroy();
  }

  /** One sweep of each; a backend that fails does not keep the others from theirs. Throws PEER_UNAVAILABLE. */
  async sweepAll(signal: AbortSignal): Promise<void> {
    const { organizations, logger, config } = this.#options;
    for await (const organizationId of organizations.all(signal)) {
      this.#removesFrom ??= performance.now() + config.retentionEveryMs;
      const caller = await this.#callerOf(organizationId, signal).catch((error: unknown) => {
        if (signal.aborted || reasonOf(error) === "PEER_UNAVAILABLE") throw error;
        logger.warn({ err: error, organizationId }, "the backends of an organization are not known");
      });
      for (const named of caller?.backends ?? []) {
        if (signal.aborted || caller === undefined) return;
        await this.#sweep(caller, named, signal).catch((error: unknown) => {
          if (signal.aborted || error instanceof LeaseLostError) return;
          const about = { err: error, backend: named.name, organization: caller.organization };
          logger.warn(about, "materials past at_most could not all be removed; it will be tried again");
        });
      }
    }
  }

  async #sweep(caller: CasPrincipal, named: CasBackend, signal: AbortSignal): Promise<void> {
    const { organization, organizationId } = caller;
    const backend = await this.#options.backends.get(organization, named);
    const expiry = await backend.expiry(signal);
    if (expiry === undefined) return this.#tell(caller, named);
    const lease = await Lease.open(
      { backend, backendId: `retention-${named.id}`, owner: this.#owner, leaseMs },
      signal,
    );
    const bounds = async () => {
      const now = await this.#callerOf(organizationId, signal);
      // One that is gone meanwhile raised nothing.
      if (now === undefined) throw new Error("the organization has no external backend any more");
      return now.retention;
    };
    // Those who want nothing, and never did, are not written to.
    if (caller.retention === undefined && (await isEmpty(expiry.hidden(signal)))) return;
    await lease.save(signal);
    try {
      const target = { organizationId, named, backend, expiry, bounds, progress: () => lease.progress(signal) };
      const removes = performance.now() >= (this.#removesFrom ?? Number.POSITIVE_INFINITY);
      const { retentionGraceMs: graceMs } = this.#options.config;
      await expireMaterials({ ...this.#options, graceMs, removes }, target, signal);
    } finally {
      await lease.release(AbortSignal.timeout(farewellMs)).catch(() => undefined);
    }
  }

  #tell({ organization, retention }: CasPrincipal, { id, name, provider }: CasBackend): void {
    if (retention === undefined || lifeOf(retention) === undefined) return;
    const { telemetry, logger } = this.#options;
    telemetry.unable(provider);
    if (this.#warned.has(id)) return;
    this.#warned.add(id);
    logger.warn({ backend: name, organization }, "at_most is not applied to materials: the bucket has no versioning");
  }

  #callerOf(organizationId: string, signal: AbortSignal): Promise<CasPrincipal | undefined> {
    return this.#options.organizations.backendsOf(organizationId, signal, CasSpace.BLOBS);
  }
}

async function isEmpty(items: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of items) return false;
  return true;
}
