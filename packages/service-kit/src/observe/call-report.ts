import { Code } from "@connectrpc/connect";
import { Counter, Histogram, type Registry } from "prom-client";
import type { FinishedCall } from "../server/interceptor.ts";
import type { Logger } from "./logger.ts";

/** Codes that tell of a fault of ours; all others are answers to a client. */
const faults = new Set<Code>([Code.Internal, Code.Unknown, Code.DataLoss]);

/** One line of log and one measurement for each finished call: faults as errors, refusals as info, the rest for debugging. */
export function createCallReport(logger: Logger, metrics: Registry): (call: FinishedCall) => void {
  const registers = [metrics];
  const finished = new Counter({
    name: "attestry_calls_total",
    help: "Calls finished, by method and code",
    labelNames: ["method", "code"],
    registers,
  });
  const duration = new Histogram({
    name: "attestry_call_seconds",
    help: "Time from the headers of a call to its answer",
    labelNames: ["method"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers,
  });

  return ({ method, code, error, ms, context }) => {
    const name = code === undefined ? "ok" : Code[code];
    finished.inc({ method, code: name });
    duration.observe({ method }, ms / 1000);
    if (code === undefined && !logger.isLevelEnabled("debug")) return;

    const line = {
      method,
      code: name,
      ms: Math.round(ms * 10) / 10,
      requestId: context.requestId,
      traceparent: context.traceparent,
    };
    if (code === undefined) logger.debug(line, "call");
    else if (faults.has(code)) logger.error({ ...line, err: error }, "call");
    else logger.info({ ...line, refusal: error instanceof Error ? error.message : String(error) }, "call");
  };
}
