import type { Registry } from "prom-client";
import type { Logger } from "../observe/logger.ts";
import { readiness } from "./health.ts";
import type { ServiceModule } from "./module.ts";
import type { NodeRequest, NodeResponse } from "./rpc-handler.ts";

/** /healthz (the process lives), /readyz (it can serve) and /metrics; 404 for all else. */
export function createHttpRoutes(
  modules: readonly ServiceModule[],
  metrics: Registry,
  logger: Logger,
  shuttingDown: AbortSignal,
) {
  async function answer(path: string): Promise<{ status: number; type: string; body: string }> {
    switch (path) {
      case "/healthz":
        return json(200, { status: "ok" });
      case "/readyz": {
        const { ready, services } = await readiness(modules, logger);
        const serving = ready && !shuttingDown.aborted;
        return json(serving ? 200 : 503, { status: serving ? "ok" : "not ready", services });
      }
      case "/metrics":
        return { status: 200, type: metrics.contentType, body: await metrics.metrics() };
      default:
        return json(404, {
          error: `nothing is served at ${path.slice(0, 200)}`,
          services: modules.flatMap((module) => module.services.map(({ typeName }) => typeName)),
        });
    }
  }

  return async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const { status, type, body } = await answer(path);
    response.statusCode = status;
    response.setHeader("content-type", type);
    response.setHeader("content-length", Buffer.byteLength(body));
    response.end(request.method === "HEAD" ? "" : body);
  };
}

function json(status: number, value: unknown): { status: number; type: string; body: string } {
  return { status, type: "application/json", body: `${JSON.stringify(value)}\n` };
}
