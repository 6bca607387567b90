import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Registry } from "prom-client";
import { checkAccessTable } from "../auth/access.ts";
import { connectErrorOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";
import { RateLimits } from "../limits/rate-limits.ts";
import { createCallReport } from "../observe/call-report.ts";
import type { Logger } from "../observe/logger.ts";
import { type ListenAddress, readSettings } from "../setting.ts";
import { createSecureServer, type ServerTls } from "../tls/secure-server.ts";
import { createBodyBudget } from "./body-budget.ts";
import { createConnectionTelemetry } from "./connection-telemetry.ts";
import { registerHealth } from "./health.ts";
import { createHttpRoutes } from "./http-routes.ts";
import { createCallInterceptor } from "./interceptor.ts";
import { checkDistinct, type ServiceModule } from "./module.ts";
import { createModuleRoutes } from "./module-routes.ts";
import { createPortSniffer } from "./port-sniffer.ts";
import { createReceiveWindows, largestWindowBytes } from "./receive-windows.ts";
import { registerReflection } from "./reflection.ts";
import { createRpcHandler, type NodeRequest, type NodeResponse, type RpcHandler } from "./rpc-handler.ts";
import { trackSessions } from "./sessions.ts";
import { type TransportConfig, transportSettings } from "./settings.ts";

/** Node counts what waits to be sent: of each of many streams, a message of 1 MiB. */
const sessionMemoryMiB = 512;
const defaultGraceMs = 10_000;
const idleCheckMs = 100;
const lastAnswersMs = 250;
/** A large upload over HTTP/1.1 is one request. */
const slowBodyMs = 60 * 60_000;
const defaultLimits: ServingLimits = readSettings(transportSettings, {});

/** Each is a setting that says more. */
export type ServingLimits = Pick<
  TransportConfig,
  | "callIdleMs"
  | "firstBytesMs"
  | "handshakeMs"
  | "headersTimeoutMs"
  | "idleConnectionMs"
  | "inFlightBytes"
  | "leastBytesPerSecond"
  | "maxConnections"
  | "maxHeaderBytes"
  | "maxMessageBytes"
  | "maxStreams"
  | "pingBurst"
  | "pingsPerSecond"
  | "rateOfFailures"
  | "ratePerOrganization"
  | "ratePerToken"
  | "redisUrl"
  | "resetBurst"
  | "resetsPerSecond"
>;

export interface ServeOptions {
  modules: readonly ServiceModule[];
  listen: ListenAddress;
  logger: Logger;
  metrics: Registry;
  /** How long `close` goes on taking calls while it says that it is not ready, in milliseconds. */
  drainMs?: number;
  /** How long `close` then lets calls under way go on, in milliseconds. */
  graceMs?: number;
  /** Certificate and key to serve with, and the authorities that clients' certificates must come from; undefined: no TLS. */
  tls?: ServerTls | undefined;
  /** What connections and callers may do; each is as its setting says unless given. */
  limits?: Partial<ServingLimits>;
}

export interface RunningServer {
  /** http://HOST:PORT, or https. */
  url: string;
  port: number;
  /** Turns not ready; when it has drained, stops taking calls, lets those under way finish within 10 s, and ends the rest. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Serves modules on one port: HTTP/2 and HTTP/1.1, over TLS or not; gRPC, gRPC-Web and Connect; health, reflection, /healthz, /readyz,
 * /metrics, and the HTTP routes of the modules. Rejects if the port is taken, a method has no access rule, or two
 * modules serve the same service, or the files of `tls` cannot be used.
 */
export async function serve({
  modules,
  listen,
  logger,
  metrics,
  drainMs = 0,
  graceMs = defaultGraceMs,
  tls,
  limits,
}: ServeOptions): Promise<RunningServer> {
  for (const module of modules) checkAccessTable(module.services, module.access);
  const draining = new AbortController();
  const shutdown = new AbortController();
  const services = modules.flatMap((module) => module.services);
  checkDistinct(services);

  const report = createCallReport(logger, metrics);
  const sessions = new Set<http2.ServerHttp2Session>();
  const windows = createReceiveWindows(sessions);

  // First, since it may fail: what is made after it would be left behind.
  const { headersTimeoutMs, idleConnectionMs, maxConnections, ...bounds } = { ...defaultLimits, ...limits };
  const { handshakeMs, firstBytesMs } = bounds;
  const secure = tls && (await createSecureServer({ files: tls, handshakeMs, logger, metrics }));
  const pace = { idleMs: bounds.callIdleMs, leastPerSecond: bounds.leastBytesPerSecond };
  const rateLimits = new RateLimits({
    rates: { token: bounds.ratePerToken, organization: bounds.ratePerOrganization, failures: bounds.rateOfFailures },
    redisUrl: bounds.redisUrl,
    prefix: modules.map(({ name }) => name).join("+"),
    ...{ logger, metrics },
  });

  const rpc = createRpcHandler({
    modules,
    interceptor: createCallInterceptor(report),
    report,
    extraRoutes: (router) => {
      registerHealth(router, modules, logger, draining.signal);
      registerReflection(router, services);
    },
    budget: createBodyBudget(bounds.inFlightBytes, pace),
    limits: rateLimits,
    windows,
    shutdownSignal: shutdown.signal,
    pace,
    maxMessageBytes: bounds.maxMessageBytes,
    logger,
  });
  const moduleRoutes = createModuleRoutes({
    modules,
    limits: rateLimits,
    report,
    shutdownSignal: shutdown.signal,
    logger,
  });
  const routes = createHttpRoutes(modules, metrics, logger, draining.signal);
  function handle(request: NodeRequest, response: NodeResponse): void {
    if (rpc.handle(request, response) || moduleRoutes(request, response)) return;
    routes(request, response).catch((error: unknown) => {
      logger.error({ err: error }, "HTTP route failed");
      response.destroy();
    });
  }

  /** A caller that waits for leave to send its body gets it from the route, which may refuse the head (RFC 9110, section 10.1.1). */
  function handleExpecting(request: NodeRequest, response: NodeResponse): void {
    if (moduleRoutes(request, response)) return;
    response.writeContinue();
    handle(request, response);
  }

  const http1 = http.createServer(
    {
      requestTimeout: slowBodyMs,
      maxHeaderSize: bounds.maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      // How often the time-outs are looked at: Node's default is 30 s.
      connectionsCheckingInterval: headersTimeoutMs / 2,
      keepAliveTimeout: 30_000,
    },
    handle,
  );
  // A server that does not listen itself checks none of these time-outs until it is told that it does.
  http1.emit("listening");
  const http2Server = http2.createServer(
    {
      settings: {
        initialWindowSize: largestWindowBytes,
        maxConcurrentStreams: bounds.maxStreams,
        maxHeaderListSize: bounds.maxHeaderBytes,
      },
      maxSessionMemory: sessionMemoryMiB,
      streamResetBurst: bounds.resetBurst,
      streamResetRate: bounds.resetsPerSecond,
    },
    handle,
  );
  http1.on("checkContinue", handleExpecting);
  http2Server.on("checkContinue", handleExpecting);
  preferBareStreams(http2Server, rpc.handleStream);
  const pings = { burst: bounds.pingBurst, perSecond: bounds.pingsPerSecond };
  trackSessions(http2Server, { sessions, windows, idleMs: idleConnectionMs, pings, logger });
  const { server, destroyUndecided, destroySockets } = createPortSniffer({
    ...{ http1, http2: http2Server, tls: secure?.server, maxConnections, firstBytesMs },
    telemetry: createConnectionTelemetry(metrics),
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, resolve);
  }).catch(async (error: unknown) => {
    await Promise.all([secure?.destroy(), rateLimits.destroy()]);
    throw error;
  });
  const { port } = server.address() as AddressInfo;

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    draining.abort();
    // A balancer that has not seen it yet sends new connections, which a closed port would refuse.
    if (drainMs > 0) await sleep(drainMs);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const session of sessions) session.close();
    destroyUndecided();
    http1.closeIdleConnections();
    // Connections that clients keep alive end after the answer under way, not when the client lets them go.
    const idle = setInterval(() => http1.closeIdleConnections(), idleCheckMs);
    const grace = new AbortController();
    await Promise.race([closed, sleep(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)]);
    clearInterval(idle);
    grace.abort();
    shutdown.abort(
      connectErrorOf(new DomainError("SHUTTING_DOWN", "the server is shutting down", { retryAfterMs: 1_000 })),
    );
    // Time for the answers of the calls that this has ended.
    await Promise.race([closed, sleep(lastAnswersMs, undefined, { ref: false })]);
    destroySockets();
    http1.close();
    http2Server.close();
    await Promise.all([secure?.destroy(), rateLimits.destroy()]);
    await closed;
  }
  return {
    url: `${tls === undefined ? "http" : "https"}://${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${port}`,
    port,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Offers each stream to `take` before Node wraps it as a request and a response, which plain gRPC has no use for. */
function preferBareStreams(server: http2.Http2Server, take: RpcHandler["handleStream"]): void {
  const wrap = server.listeners("stream");
  server.removeAllListeners("stream");
  server.on("stream", (stream, headers, ...rest) => {
    stream.on("error", () => stream.destroy());
    if (take(stream, headers)) return;
    for (const listener of wrap) listener.call(server, stream, headers, ...rest);
  });
}
