import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@attestry/api/health";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { databaseFault } from "../errors/database-fault.ts";
import { DomainError } from "../errors/domain-error.ts";
import type { Logger } from "../observe/logger.ts";
import type { ServiceModule } from "./module.ts";
import { OpenStreams } from "./open-streams.ts";

const watchMs = 1_000;
const probeTimeoutMs = 2_000;
/** Of a process: anyone may open one, and keep it. */
const maxWatches = 1_000;

export interface Readiness {
  ready: boolean;
  /** Per service: "ok", or why not. */
  services: Record<string, string>;
}

/** Whether the modules can serve now. Peers are not asked: any start order works. */
export async function readiness(modules: readonly ServiceModule[], logger: Logger): Promise<Readiness> {
  const results = await Promise.all(modules.map(async (module) => [module.name, await probe(module, logger)] as const));
  return { ready: results.every(([, state]) => state === "ok"), services: Object.fromEntries(results) };
}

async function probe(module: ServiceModule, logger: Logger): Promise<string> {
  const timer = new AbortController();
  const late = sleep(probeTimeoutMs, "no answer within 2 s", { signal: timer.signal }).catch(() => "");
  try {
    return await Promise.race([module.ready().then(() => "ok"), late]);
  } catch (error) {
    logger.warn({ err: error }, `${module.name} is not ready`);
    return shown(error);
  } finally {
    timer.abort();
  }
}

/** Probes for many at a time: those who ask while one is under way, or soon after, share what it says. */
function sharedProbe(module: ServiceModule, logger: Logger): (mostAgeMs: number) => Promise<string> {
  let latest: Promise<string> | undefined;
  /** When it was answered; undefined: it is under way. */
  let answeredMs: number | undefined;
  return (mostAgeMs) => {
    if (latest !== undefined && (answeredMs === undefined || performance.now() - answeredMs < mostAgeMs)) return latest;
    answeredMs = undefined;
    latest = probe(module, logger).finally(() => {
      answeredMs = performance.now();
    });
    return latest;
  };
}

/** Anyone may ask: what pg and Node say of a database, such as its address and its users, stays in the log. */
function shown(error: unknown): string {
  if (databaseFault(error) !== undefined) return "the database cannot be reached";
  if (error instanceof DomainError) return error.message;
  if (!(error instanceof Error) || "code" in error) return "it cannot serve; the reason is in its log";
  return error.message;
}

/** grpc.health.v1, for the server ("") and for each service by its full name; Check throws SERVICE_UNKNOWN for another. */
export function registerHealth(
  router: ConnectRouter,
  modules: readonly ServiceModule[],
  logger: Logger,
  shuttingDown: AbortSignal,
): void {
  const probed = modules.map((module) => ({ services: module.services, state: sharedProbe(module, logger) }));
  const watches = new OpenStreams(maxWatches, "watches of health");
  /** @param mostAgeMs how old what a probe said may be */
  async function statusOf(service: string, mostAgeMs: number): Promise<Status> {
    const asked =
      service === "" ? probed : probed.filter(({ services }) => services.some(({ typeName }) => typeName === service));
    if (asked.length === 0) return Status.SERVICE_UNKNOWN;
    if (shuttingDown.aborted) return Status.NOT_SERVING;
    const states = await Promise.all(asked.map(({ state }) => state(mostAgeMs)));
    return states.every((state) => state === "ok") ? Status.SERVING : Status.NOT_SERVING;
  }
  const health: Partial<ServiceImpl<typeof Health>> = {
    async check({ service }) {
      const status = await statusOf(service, 0);
      if (status === Status.SERVICE_UNKNOWN)
        throw new DomainError("SERVICE_UNKNOWN", `the service ${service.slice(0, 200)} is not served here`);
      return { status };
    },
    async *watch({ service }, context) {
      const leave = watches.enter(context);
      try {
        let last: Status | undefined;
        while (!context.signal.aborted) {
          const status = await statusOf(service, watchMs);
          if (status !== last) yield { status };
          last = status;
          // The call would hold up the server's end.
          if (shuttingDown.aborted) return;
          await sleep(watchMs, undefined, { signal: context.signal }).catch(() => undefined);
        }
      } finally {
        leave();
      }
    },
  };
  // Anybody may ask: what one such call can hold of the memory that all share is little.
  router.service(Health, health, { readMaxBytes: 4 * 1024 });
}
