import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError, type ConnectRouter, createConnectRouter, type Interceptor } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeFromHttpStatus, errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { connectErrorOf, withReason } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";
import type { Logger } from "../observe/logger.ts";
import type { BodyBudget } from "./body-budget.ts";
import type { ServiceModule } from "./module.ts";
import { createRequestGate } from "./request-gate.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Largest request message, unless a method sets its own. */
export const defaultReadMaxBytes = 4 * 1024 * 1024;

export interface RpcHandlerOptions {
  modules: readonly ServiceModule[];
  interceptors: Interceptor[];
  /** Registers what is not of a module, and what anyone may call: health, reflection. */
  extraRoutes(router: ConnectRouter): void;
  budget: BodyBudget;
  shutdownSignal: AbortSignal;
  logger: Logger;
}

/** Serves RPCs in the protocols gRPC, gRPC-Web and Connect; false if the path is none of theirs. */
export function createRpcHandler(
  options: RpcHandlerOptions,
): (request: NodeRequest, response: NodeResponse) => boolean {
  const common = {
    readMaxBytes: defaultReadMaxBytes,
    interceptors: options.interceptors,
    shutdownSignal: options.shutdownSignal,
    acceptCompression: [compressionGzip],
    // Bundles are base64 of signed bytes: compressing each answer costs more than it saves.
    compressMinBytes: Number.MAX_SAFE_INTEGER,
  };
  const guarded = createConnectRouter({ ...common, requestGate: createRequestGate(options.modules) });
  for (const module of options.modules) module.routes(guarded);
  const open = createConnectRouter(common);
  options.extraRoutes(open);
  const handlers = new Map([...guarded.handlers, ...open.handlers].map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(pathOf(request)) ?? (isGrpc(request) ? unknownMethod(pathOf(request)) : undefined);
    if (handler === undefined) return false;
    void respond(handler, request, response, options).catch((error: unknown) => {
      // The caller went away while its answer was written; all else was answered.
      options.logger.debug({ err: error, path: request.url }, "answer not delivered");
      response.destroy();
    });
    return true;
  };
}

async function respond(
  handler: Handler,
  request: NodeRequest,
  response: NodeResponse,
  { budget }: RpcHandlerOptions,
): Promise<void> {
  const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
  const lease = handler.method?.methodKind === "unary" ? budget.lease() : undefined;
  try {
    const body = lease === undefined ? universal.body : lease.count(universal.body as AsyncIterable<Uint8Array>);
    const answer = await handler({ ...universal, body });
    await universalResponseToNodeResponse(await explained(answer), response);
  } finally {
    lease?.release();
  }
}

type Handler = ((request: UniversalServerRequest) => Promise<UniversalServerResponse>) & {
  method?: UniversalHandler["method"];
};

/** An answer in which also what the framework refused by itself has a reason. */
async function explained(answer: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { trailer, header, status, body } = answer;
  if (trailer !== undefined && body !== undefined) return { ...answer, body: thenExplain(body, trailer) };
  if (status !== 200 && body !== undefined && header?.get("content-type") === "application/json") {
    const bytes = await collect(body);
    const error = errorFromJsonBytes(bytes, undefined, new ConnectError(`HTTP ${status}`, codeFromHttpStatus(status)));
    const explainedBytes = errorToJsonBytes(framed(error), undefined);
    header.set("content-length", String(explainedBytes.length));
    return { ...answer, body: once(explainedBytes) };
  }
  return answer;
}

async function* thenExplain(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  if (trailer.get("grpc-status") === "0" || trailer.has("grpc-status-details-bin")) return;
  const error = findTrailerError(trailer);
  if (error !== undefined) setTrailerStatus(trailer, framed(error));
}

/** Errors of handlers have a reason already; an INTERNAL without one is the framework's word for a malformed message. */
function framed(error: ConnectError): ConnectError {
  const explainedError = withReason(error);
  if (explainedError === error || error.code !== Code.Internal) return explainedError;
  return connectErrorOf(new DomainError("REQUEST_MALFORMED", `the request cannot be read: ${error.rawMessage}`));
}

function unknownMethod(path: string): Handler {
  return () => {
    const error = connectErrorOf(new DomainError("METHOD_UNKNOWN", `${path.slice(1, 200)} is not served here`));
    const header = new Headers({ "content-type": "application/grpc" });
    return Promise.resolve({ status: 200, header: setTrailerStatus(header, error) });
  };
}

function pathOf(request: NodeRequest): string {
  return (request.url ?? "").split("?", 1)[0] ?? "";
}

function isGrpc(request: NodeRequest): boolean {
  return /^application\/grpc($|\+proto|;)/.test(request.headers["content-type"] ?? "");
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
