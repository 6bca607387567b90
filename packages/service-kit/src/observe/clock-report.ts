import { Gauge, type Registry } from "prom-client";
import type { ClockReport } from "../auth/peer-clocks.ts";
import type { ServiceName } from "../auth/principal.ts";
import type { Logger } from "./logger.ts";

/** Below it the clocks of two hosts count as the same. */
const noticeableMs = 30_000;

/** Shows how far the clocks of peers are off, and warns of each once, until it is off by another amount. */
export function createClockReport({ logger, metrics }: { logger: Logger; metrics: Registry }): ClockReport {
  const ahead = new Gauge({
    name: "attestry_peer_clock_ahead_seconds",
    help: "How far a peer's clock is ahead of this process's (negative: behind), since it refused a token for that",
    labelNames: ["peer"],
    registers: [metrics],
  });
  const warnedOf = new Map<ServiceName, number>();

  return (peer, aheadMs) => {
    ahead.set({ peer }, aheadMs / 1000);
    if (Math.abs(aheadMs) < noticeableMs || Math.abs(aheadMs - (warnedOf.get(peer) ?? 0)) < noticeableMs) return;
    warnedOf.set(peer, aheadMs);
    const seconds = Math.round(Math.abs(aheadMs) / 1000);
    logger.warn(
      { peer, aheadMs },
      `the clock here is ${seconds} s ${aheadMs > 0 ? "behind" : "ahead of"} that of ${peer}; put it right (NTP)`,
    );
  };
}
