import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import http2 from "node:http2";
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
import { plainStatusMessage } from "./grpc-status.ts";
import { createGrpcUnary } from "./grpc-unary.ts";
import type { ServiceModule } from "./module.ts";
import { recordUnary } from "./recording-router.ts";
import { createRequestGate } from "./request-gate.ts";
import type { UnaryMethod } from "./unary-call.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Largest request message, unless a method sets its own. */
export const defaultReadMaxBytes = 4 * 1024 * 1024;

export interface RpcHandlerOptions {
  modules: readonly ServiceModule[];
  interceptor: Interceptor;
  /** Registers what is not of a module, and what anyone may call: health, reflection. */
  extraRoutes(router: ConnectRouter): void;
  budget: BodyBudget;
  shutdownSignal: AbortSignal;
  logger: Logger;
}

export interface RpcHandler {
  /** Any protocol, HTTP/1.1 or HTTP/2; false if the path is no RPC's. */
  handle(request: NodeRequest, response: NodeResponse): boolean;
  /** Plain gRPC, unary, from the bare HTTP/2 stream; false if the call is anything else. */
  handleStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
}

/** Serves RPCs in the protocols gRPC, gRPC-Web and Connect. */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const gate = createRequestGate(options.modules);
  const common = {
    readMaxBytes: defaultReadMaxBytes,
    interceptors: [options.interceptor],
    shutdownSignal: options.shutdownSignal,
    acceptCompression: [compressionGzip],
    // Bundles are base64 of signed bytes: compressing each answer costs more than it saves.
    compressMinBytes: Number.MAX_SAFE_INTEGER,
  };
  const unaryMethods = new Map<string, UnaryMethod>();
  const guarded = createConnectRouter({ ...common, requestGate: gate });
  for (const module of options.modules) module.routes(recordUnary(guarded, defaultReadMaxBytes, unaryMethods));
  const open = createConnectRouter(common);
  options.extraRoutes(open);
  const handlers = new Map([...guarded.handlers, ...open.handlers].map((handler) => [handler.requestPath, handler]));
  const serveUnary = createGrpcUnary({ gate, ...options });

  function handle(request: NodeRequest, response: NodeResponse): boolean {
    const path = pathOf(request.url);
    const handler = handlers.get(path) ?? (isGrpc(request) ? unknownMethod(path) : undefined);
    if (handler === undefined) return false;
    respond(handler, request, response, options).catch((error: unknown) => {
      // The caller went away while its answer was written; all else was answered.
      options.logger.debug({ err: error, path }, "answer not delivered");
      response.destroy();
    });
    return true;
  }

  function handleStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const unary = unaryMethods.get(pathOf(headers[":path"]));
    if (unary === undefined || !isPlainGrpc(headers)) return false;
    void serveUnary(stream, webHeaders(headers), unary);
    return true;
  }

  return { handle, handleStream };
}

async function respond(
  handler: Handler,
  request: NodeRequest,
  response: NodeResponse,
  { budget }: RpcHandlerOptions,
): Promise<void> {
  if ("stream" in request) endWhenAnswered(request.stream);
  const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
  const lease = handler.method?.methodKind === "unary" ? budget.lease() : undefined;
  // Not when the answer was handed over: until it is sent, the message is held.
  if (lease !== undefined) response.once("close", lease.release);
  const body = lease === undefined ? universal.body : lease.count(universal.body as AsyncIterable<Uint8Array>);
  const answer = await handler({ ...universal, body });
  await universalResponseToNodeResponse(await explained(answer), response);
}

/** A caller that was answered before it sent all may stop now (RFC 9113, section 8.1); else its stream would stay open. */
function endWhenAnswered(stream: ServerHttp2Stream): void {
  stream.once("wantTrailers", () => {
    setImmediate(() => {
      if (stream.readableEnded) return;
      stream.close(http2.constants.NGHTTP2_NO_ERROR);
      // What came and is read by nobody would keep it from closing.
      stream.destroy();
    });
  });
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
  if (trailer.get("grpc-status") === "0") return;
  const error = findTrailerError(trailer);
  if (error === undefined) return;
  if (!trailer.has("grpc-status-details-bin")) setTrailerStatus(trailer, framed(error));
  plainStatusMessage(trailer);
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

function pathOf(url: string | undefined): string {
  return (url ?? "").split("?", 1)[0] ?? "";
}

function isGrpc(request: NodeRequest): boolean {
  return /^application\/grpc($|\+proto|;)/.test(request.headers["content-type"] ?? "");
}

/** gRPC with protobuf and no compression, as its clients send unless told otherwise. */
function isPlainGrpc(headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"];
  const encoding = headers["grpc-encoding"];
  return (
    headers[":method"] === "POST" &&
    (type === "application/grpc" || type === "application/grpc+proto") &&
    (encoding === undefined || encoding === "identity")
  );
}

function webHeaders(headers: IncomingHttpHeaders): Headers {
  const web = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":") && value !== undefined) web.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return web;
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
