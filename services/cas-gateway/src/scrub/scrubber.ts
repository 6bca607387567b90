import { randomUUID } from "node:crypto";
import { type ScrubPass, ScrubPassSchema } from "@attestry/api/cas";
import { type CasBackend, type CasPrincipal, Periodic, reasonOf } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampNow } from "@bufbuild/protobuf/wkt";
import { LRUCache } from "lru-cache";
import type { Config } from "../config.ts";
import type { Telemetry } from "../telemetry.ts";
import { sweepBackend } from "../uploads/sweep-backend.ts";
import { carryOver, tryAgain } from "./faults.ts";
import { Lease, LeaseLostError } from "./lease.ts";
import type { Organizations } from "./organizations.ts";
import { type Pace, UnreadableError } from "./prove.ts";
import { RateLimit } from "./rate-limit.ts";
import type { ScrubContext, Target } from "./target.ts";
import { type WalkOptions, walk } from "./walk.ts";

export interface ScrubberOptions extends ScrubContext {
  organizations: Organizations;
  uploads: Pick<Telemetry, "swept">;
  config: Pick<Config, "scrubBytesPerSecond" | "scrubPeriodMs" | "uploadRetentionMs">;
  /** Milliseconds; see `defaultTimes`. */
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  /** How often backends whose time may have come are looked for. */
  roundMs: 300_000,
  /** How often that is tried again while workflow-run is away. */
  retryMs: 15_000,
  /** How long one backend is worked on before the next one has its turn. */
  turnMs: 60_000,
  /** How long other processes leave a backend to one that is not heard of. */
  leaseMs: 60_000,
};
/** To say where it is, after it was told to stop. */
const farewellMs = 500;
const longestEndMs = 1_000;
const rememberedBackends = 10_000;
/** How often a backend may fail at the same place before the blob there is taken for what fails. */
const mostFailures = 3;

/**
 * Proves what is stored, time after time, one blob at a time: each backend of each organization in turns. Where it is
 * and what it found is kept in the backend itself, so that any process goes on. It removes what is left of uploads that
 * nobody goes on with, too.
 */
export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #times: typeof defaultTimes;
  readonly #owner = randomUUID();
  readonly #limit: RateLimit;
  readonly #periodic: Periodic;
  /** When a backend is to be visited, and swept, by its id; milliseconds since 1970. */
  readonly #due = new LRUCache<string, number>({ max: rememberedBackends });
  readonly #sweepDue = new LRUCache<string, number>({ max: rememberedBackends });
  /** Where a backend failed, and how often in a row, by its id. */
  readonly #failures = new LRUCache<string, { position: string; times: number }>({ max: rememberedBackends });
  #roundDue = 0;
  /** The first of `#due` and `#sweepDue` that a round met. */
  #soonest = Number.POSITIVE_INFINITY;

  constructor(options: ScrubberOptions) {
    const { scrubBytesPerSecond, scrubPeriodMs } = options.config;
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
    this.#limit = new RateLimit(scrubBytesPerSecond);
    this.#periodic = new Periodic({
      name: "the scrubber",
      intervalMs: Math.min(this.#times.retryMs, scrubPeriodMs),
      work: (signal) => this.#work(signal),
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

  /** Rounds until no backend has anything left to do. */
  async #work(signal: AbortSignal): Promise<void> {
    if (Date.now() < this.#roundDue) return;
    try {
      while (await this.#round(signal));
      const { roundMs } = this.#times;
      this.#roundDue = Math.min(this.#soonest, Date.now() + Math.min(roundMs, this.#options.config.scrubPeriodMs));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** A turn for each backend; whether one of them has more to do. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { organizations, logger } = this.#options;
    let hasMore = false;
    this.#soonest = Number.POSITIVE_INFINITY;
    for await (const organizationId of organizations.all(signal)) {
      const caller = await organizations.backendsOf(organizationId, signal).catch((error: unknown) => {
        if (signal.aborted || reasonOf(error) === "PEER_UNAVAILABLE") throw error;
        logger.warn({ err: error, organizationId }, "the backends of an organization are not known");
      });
      for (const named of caller?.backends ?? []) {
        if (caller !== undefined && (await this.#turn(caller, named, signal))) hasMore = true;
      }
    }
    return hasMore;
  }

  /** Whether it has more to do. A backend that fails is left until the next look. */
  async #turn(caller: CasPrincipal, named: CasBackend, signal: AbortSignal): Promise<boolean> {
    const { backends, logger } = this.#options;
    const due = this.#due.get(named.id) ?? 0;
    const sweepDue = this.#sweepDue.get(named.id) ?? 0;
    // Before it is opened: there may be more backends than are kept open.
    if (Date.now() < Math.min(due, sweepDue)) {
      this.#wait(named, due);
      return false;
    }
    try {
      const backend = await backends.get(caller.organization, named);
      const target = { caller, named, backend };
      if (Date.now() >= sweepDue) await this.#sweep(target, signal);
      if (Date.now() >= due) return !(await this.#visit(target, signal));
      this.#wait(named, due);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LeaseLostError) {
        this.#wait(named, error.until.getTime());
      } else {
        const about = { err: error, backend: named.name, organization: caller.organization };
        logger.warn(about, "the scrubber leaves a backend for now");
      }
    }
    return false;
  }

  /** What cannot be removed is no reason not to prove what is stored; the next sweep meets it again. */
  async #sweep({ named, backend }: Target, signal: AbortSignal): Promise<void> {
    const { uploads, config, logger } = this.#options;
    const { uploadRetentionMs } = config;
    this.#sweepDue.set(named.id, Date.now() + uploadRetentionMs / 4);
    const context = { telemetry: uploads, uploadRetentionMs };
    await sweepBackend(context, named.provider, backend, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      logger.warn({ err: error, backend: named.name }, "what is left of broken uploads could not be removed");
    });
  }

  /** True if there is nothing to do for now. */
  async #visit(target: Target, signal: AbortSignal): Promise<boolean> {
    const { named, backend } = target;
    const { leaseMs, turnMs } = this.#times;
    const lease = await Lease.open({ backend, backendId: named.id, owner: this.#owner, leaseMs }, signal);
    const nextAt = this.#nextPassAt(lease.last);
    if (lease.current === undefined && Date.now() < nextAt) {
      this.#wait(named, nextAt);
      return true;
    }
    await lease.save(signal);
    const limit = this.#limit;
    const pace: Pace = { limit, progress: () => lease.progress(signal), save: () => lease.save(signal), signal };
    try {
      const pass = lease.current ?? (await this.#begin(target, lease, pace));
      const isFinished = await this.#walk(target, { pass, pace, until: Date.now() + turnMs });
      if (isFinished) await this.#finish(target, { lease, pass }, pace);
      return isFinished;
    } finally {
      // Without it nothing is lost but the time until the lease ends, and what was done since it was last saved.
      await lease.release(AbortSignal.timeout(farewellMs)).catch(() => undefined);
    }
  }

  /** A blob that fails each time, as on a bad sector, must not hold up all that come after it. */
  async #walk(target: Target, options: Omit<WalkOptions, "givesUpOnOne">): Promise<boolean> {
    const { id } = target.named;
    const failed = this.#failures.get(id);
    const givesUpOnOne = failed?.position === options.pass.position && failed.times >= mostFailures;
    try {
      const isFinished = await walk(this.#options, target, { ...options, givesUpOnOne });
      this.#failures.delete(id);
      return isFinished;
    } catch (error) {
      const { position } = options.pass;
      const times = failed?.position === position ? failed.times + 1 : 1;
      if (error instanceof UnreadableError) this.#failures.set(id, { position, times });
      throw error;
    }
  }

  /** Nothing but sweeping is to be done there before that time, in milliseconds since 1970. */
  #wait({ id }: CasBackend, until: number): void {
    this.#due.set(id, until);
    this.#soonest = Math.min(this.#soonest, until, this.#sweepDue.get(id) ?? until);
  }

  #nextPassAt(last: ScrubPass | undefined): number {
    if (last?.startedAt === undefined) return 0;
    return timestampDate(last.startedAt).getTime() + this.#options.config.scrubPeriodMs;
  }

  async #begin(target: Target, lease: Lease, pace: Pace): Promise<ScrubPass> {
    const current = create(ScrubPassSchema, { startedAt: timestampNow() });
    await carryOver(this.#options, target, { last: lease.last, current }, pace);
    lease.current = current;
    return current;
  }

  async #finish(target: Target, { lease, pass }: { lease: Lease; pass: ScrubPass }, pace: Pace): Promise<void> {
    const { telemetry, logger } = this.#options;
    const { caller, named } = target;
    await tryAgain(this.#options, target, pass, pace);
    pass.finishedAt = timestampNow();
    lease.last = pass;
    lease.current = undefined;
    await lease.save(pace.signal);
    this.#wait(named, this.#nextPassAt(pass));
    telemetry.passFinished(named.provider);
    const { blobsVerified, bytesVerified, corrupt, missing, repaired } = pass;
    logger.info(
      {
        ...{ backend: named.name, organization: caller.organization, blobs: Number(blobsVerified) },
        ...{ bytes: Number(bytesVerified), corrupt: Number(corrupt), missing: Number(missing) },
        repaired: Number(repaired),
      },
      "a backend was scrubbed",
    );
  }
}
