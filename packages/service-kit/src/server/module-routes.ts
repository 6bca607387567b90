import http2 from "node:http2";
import { RetryInfoSchema } from "@attestry/api/errors";
import { Code, type ConnectError } from "@connectrpc/connect";
import { codeFromHttpStatus, codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import type { Authenticator } from "../auth/authenticator.ts";
import { connectErrorOf } from "../errors/connect-error.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { Logger } from "../observe/logger.ts";
import { requestContextOf, requestStorage } from "../observe/request-context.ts";
import { callerGone } from "./caller-gone.ts";
import type { FinishedCall } from "./interceptor.ts";
import type { HttpRoute, ServiceModule } from "./module.ts";
import { remoteAddressOf } from "./remote-address.ts";
import type { NodeRequest, NodeResponse } from "./rpc-handler.ts";
import { letGoOfBody } from "./unread-body.ts";

export interface ModuleRoutesOptions {
  modules: readonly ServiceModule[];
  limits: RateLimits;
  report: (call: FinishedCall) => void;
  shutdownSignal: AbortSignal;
  logger: Logger;
}

type GuardedRoute = HttpRoute & { authenticator: Authenticator };

/** What says something of a content that an error does not send. */
const contentHeaders = [
  "accept-ranges",
  "cache-control",
  "content-digest",
  "content-disposition",
  "content-encoding",
  "etag",
  "last-modified",
  "repr-digest",
];

/**
 * Serves the HTTP routes of modules; false if the path is none's. Throws at once if two routes have one prefix. Each
 * request is logged and counted by its method and the route's prefix: a path has no bound, and a query may carry a token.
 */
export function createModuleRoutes({ modules, limits, report, shutdownSignal, logger }: ModuleRoutesOptions) {
  const routes = modules
    .flatMap(({ http = [], authenticator }) =>
      http.map((route) => ({ ...route, handle: route.handle.bind(route), authenticator })),
    )
    .sort((a, b) => b.prefix.length - a.prefix.length);
  const prefixes = new Set(routes.map(({ prefix }) => prefix));
  if (prefixes.size < routes.length)
    throw new Error(`two HTTP routes have one prefix among ${[...prefixes].join(", ")}`);
  const live = new Set<AbortController>();
  shutdownSignal.addEventListener("abort", () => {
    for (const call of live) call.abort(shutdownSignal.reason);
  });

  async function authenticate({ authenticator }: GuardedRoute, request: NodeRequest, token: string | undefined) {
    const authorization = token === undefined ? (request.headers.authorization ?? null) : `Bearer ${token}`;
    const strangers = limits.strangersAt(remoteAddressOf(request));
    const principal = await authenticator.authenticate(authorization, strangers);
    limits.admit(principal);
    return principal;
  }
  async function serve(route: GuardedRoute, request: NodeRequest, response: NodeResponse): Promise<void> {
    const began = performance.now();
    const context = requestContextOf(webHeaders(request), undefined);
    const abort = new AbortController();
    const { signal } = abort;
    live.add(abort);
    response.once("close", () => {
      live.delete(abort);
      if (!isDelivered(response)) abort.abort(callerGone());
    });
    // Node resets a stream that nobody has read of as soon as it is answered, and the reset overtakes the answer.
    if ("stream" in request) request.stream.read(0);
    response.setHeader("x-request-id", context.requestId);

    function finish(code: Code | undefined, error?: unknown): void {
      const method = `${methodOf(request)} ${route.prefix}`;
      report({ method, code, error, ms: performance.now() - began, context });
    }
    try {
      const call = {
        ...{ signal, logger: logger.child({ requestId: context.requestId }) },
        authenticate: (token?: string) => authenticate(route, request, token),
      };
      await requestStorage.run(context, () => route.handle(request, response, call));
      if (!response.writableEnded) throw new Error(`the route ${route.prefix} left a request without its whole answer`);
      if (signal.aborted) throw signal.reason;
      finish(codeOf(response.statusCode));
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      const refusal = connectErrorOf(cause);
      finish(refusal.code, cause);
      if (response.headersSent) breakOff(response);
      else refuse(request, response, refusal);
    }
    letGoOfBody(request);
  }

  return (request: NodeRequest, response: NodeResponse): boolean => {
    const path = request.url ?? "";
    const route = routes.find(({ prefix }) => path.startsWith(prefix));
    if (route === undefined) return false;
    serve(route, request, response).catch((error: unknown) => {
      // The caller went away while the refusal was written.
      logger.debug({ err: error, route: route.prefix }, "answer not delivered");
      breakOff(response);
    });
    return true;
  };
}

/** The error as Connect writes it, with the HTTP status of its code; HEAD has the same head. */
function refuse(request: NodeRequest, response: NodeResponse, error: ConnectError): void {
  const body = Buffer.from(errorToJsonBytes(error, undefined));
  for (const name of contentHeaders) response.removeHeader(name);
  response.statusCode = error.code === Code.OutOfRange ? 416 : codeToHttpStatus(error.code);
  if (error.code === Code.Unauthenticated) response.setHeader("www-authenticate", "Bearer");
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay !== undefined)
    response.setHeader("retry-after", Math.max(1, Number(delay.seconds) + (delay.nanos > 0 ? 1 : 0)));
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", body.length);
  if (request.method === "HEAD") response.end();
  else response.end(body);
}

/** So that the caller sees a broken transfer, and never a short one that looks whole. */
function breakOff(response: NodeResponse): void {
  if ("stream" in response) response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}

/** Node's HTTP/2 responses say "finish" of those too that broke off. */
function isDelivered(response: NodeResponse): boolean {
  if ("stream" in response) return !response.stream.aborted && response.stream.rstCode === 0;
  return response.writableFinished;
}

/** What a route answered by itself, among the codes that calls are counted by. */
function codeOf(status: number): Code | undefined {
  if (status < 400) return undefined;
  if (status === 416) return Code.OutOfRange;
  const code = codeFromHttpStatus(status);
  // Connect has 400 for a fault of its own, since what it answers by itself has other statuses.
  const isCallers = status < 500 && (code === Code.Unknown || code === Code.Internal);
  return isCallers ? Code.InvalidArgument : code;
}

/** One of a few: a caller may send any word. */
function methodOf({ method }: NodeRequest): string {
  return method !== undefined && ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"].includes(method)
    ? method
    : "OTHER";
}

function webHeaders({ headers }: NodeRequest): Headers {
  const web = new Headers();
  for (const name of ["traceparent", "x-request-id"]) {
    const value = headers[name];
    if (typeof value === "string") web.set(name, value);
  }
  return web;
}
