import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import http2 from "node:http2";
import {
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeFromHttpStatus,
  codeToHttpStatus,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { connectErrorOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { Logger } from "../observe/logger.ts";
import { discardWhenFinished, endWhenAnswered } from "./answered-stream.ts";
import type { BodyBudget } from "./body-budget.ts";
import type { BodyPace } from "./body-pace.ts";
import { framed } from "./framework-error.ts";
import { createGrpcDirect } from "./grpc-direct.ts";
import { plainStatusMessage } from "./grpc-status.ts";
import type { FinishedCall } from "./interceptor.ts";
import type { ServiceModule } from "./module.ts";
import type { ReceiveWindows } from "./receive-windows.ts";
import type { RecordedMethod } from "./recorded-call.ts";
import { recordMethods } from "./recording-router.ts";
import { remoteAddressKey, remoteAddressOf } from "./remote-address.ts";
import { createOpenGate, createRequestGate } from "./request-gate.ts";
import { createTakingWatch } from "./taking-watch.ts";
import { type UniversalBodyOptions, universalBody } from "./universal-body.ts";
import { letGoOfBody } from "./unread-body.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Largest message as JSON: it is read in one piece, which takes 2 ms for each MiB, and all callers wait. */
const jsonReadMaxBytes = 4 * 1024 * 1024;
/** Largest message of a method that is not a module's, and that anyone may call. */
const openReadMaxBytes = 64 * 1024;

export interface RpcHandlerOptions {
  modules: readonly ServiceModule[];
  interceptor: Interceptor;
  /** Hears of the calls that are refused before the interceptor sees them. */
  report: (call: FinishedCall) => void;
  /** Registers what is not of a module, and what anyone may call: health, reflection. */
  extraRoutes(router: ConnectRouter): void;
  budget: BodyBudget;
  limits: RateLimits;
  windows: ReceiveWindows;
  shutdownSignal: AbortSignal;
  /** How slow a caller may be. */
  pace: BodyPace;
  /** Largest request message, unless a method sets its own. */
  maxMessageBytes: number;
  logger: Logger;
}

export interface RpcHandler {
  /** Any protocol, HTTP/1.1 or HTTP/2; false if the path is no RPC's. */
  handle: (request: NodeRequest, response: NodeResponse) => boolean;
  /** Plain gRPC from the bare HTTP/2 stream; false if the call is anything else, or streams both ways. */
  handleStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;
}

/** Serves RPCs in the protocols gRPC, gRPC-Web and Connect. */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const gate = createRequestGate(options.modules, options.report, options.limits);
  const common = {
    readMaxBytes: options.maxMessageBytes,
    interceptors: [options.interceptor],
    shutdownSignal: options.shutdownSignal,
    acceptCompression: [compressionGzip],
    // Bundles are base64 of signed bytes: compressing each answer costs more than it saves.
    compressMinBytes: Number.MAX_SAFE_INTEGER,
  };
  const recorded = new Map<string, RecordedMethod>();
  const guarded = createConnectRouter({ ...common, requestGate: gate });
  for (const module of options.modules) module.routes(recordMethods(guarded, options.maxMessageBytes, recorded));
  const asJson = createConnectRouter({ ...common, readMaxBytes: jsonReadMaxBytes, requestGate: gate });
  for (const { method, handler, readMaxBytes } of recorded.values())
    if (readMaxBytes > jsonReadMaxBytes) asJson.rpc(method, handler as never);
  const open = createConnectRouter({
    ...common,
    readMaxBytes: openReadMaxBytes,
    requestGate: createOpenGate(options.report, options.limits),
  });
  options.extraRoutes(open);
  const handlers = byPath([...guarded.handlers, ...open.handlers]);
  const jsonHandlers = byPath(asJson.handlers);
  const watchTaking = createTakingWatch(options.pace.idleMs, options.shutdownSignal);
  const serveDirect = createGrpcDirect({ gate, ...options });

  function handle(request: NodeRequest, response: NodeResponse): boolean {
    const path = pathOf(request.url);
    const handler = called(path, request);
    if (handler === undefined) return false;
    const method = recorded.get(path);
    const isLessAsJson = handler === jsonHandlers.get(path);
    const readMaxBytes = isLessAsJson ? jsonReadMaxBytes : (method?.readMaxBytes ?? openReadMaxBytes);
    watchTaking(response);
    respond(handler, request, response, { ...options, isOpen: method === undefined, readMaxBytes, isLessAsJson }).catch(
      (error: unknown) => {
        // The caller went away while its answer was written; all else was answered.
        options.logger.debug({ err: error, path }, "answer not delivered");
        response.destroy();
      },
    );
    return true;
  }

  function called(path: string, request: NodeRequest): Handler | undefined {
    const handler = (isJson(request) ? jsonHandlers.get(path) : undefined) ?? handlers.get(path);
    return handler === undefined ? unknownMethod(path, request) : (compressedQuery(request) ?? handler);
  }

  function handleStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const method = recorded.get(pathOf(headers[":path"]));
    if (method === undefined || method.method.methodKind === "bidi_streaming" || !isPlainGrpc(headers)) return false;
    serveDirect(stream, webHeaders(headers), method).catch((error: unknown) => {
      // Not even its refusal could be written: one caller's stream ends, and not the process.
      options.logger.error({ err: error, method: method.method.name }, "no answer could be given");
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    });
    return true;
  }

  return { handle, handleStream };
}

async function respond(
  handler: Handler,
  request: NodeRequest,
  response: NodeResponse,
  options: RpcHandlerOptions & Pick<UniversalBodyOptions, "isOpen" | "readMaxBytes"> & { isLessAsJson: boolean },
): Promise<void> {
  if ("stream" in request) endWhenAnswered(request.stream);
  // Over HTTP/1.1 a caller sends all of its body before it looks for the answer: what nobody reads is let go by.
  else response.once("finish", () => letGoOfBody(request));
  const values = createContextValues().set(remoteAddressKey, remoteAddressOf(request));
  const universal = universalRequestFromNodeRequest(request, response, undefined, values);
  const body = universalBody(request, response, { ...options, kind: handler.method?.methodKind, values });
  const answer = await explained(await handler({ ...universal, body }), options.isLessAsJson);
  const last = "stream" in request ? discardWhenFinished(answer, request.stream) : answer;
  await universalResponseToNodeResponse(last, response);
}

type Handler = ((request: UniversalServerRequest) => Promise<UniversalServerResponse>) & {
  method?: UniversalHandler["method"];
};

/** An answer in which also what the framework refused by itself has a reason. */
async function explained(answer: UniversalServerResponse, isLessAsJson: boolean): Promise<UniversalServerResponse> {
  const { trailer, header, status, body } = answer;
  if (trailer !== undefined && body !== undefined) return { ...answer, body: thenExplain(body, trailer) };
  if (body !== undefined && header?.get("content-type")?.startsWith("application/grpc-web"))
    return { ...answer, body: explainWebTrailer(body) };
  if (status === 415 || status === 405) return plainRefusal(status, header);
  if (status !== 200 && body !== undefined && header?.get("content-type") === "application/json") {
    const bytes = await collect(body);
    const error = errorFromJsonBytes(bytes, undefined, new ConnectError(`HTTP ${status}`, codeFromHttpStatus(status)));
    const reasoned = framed(error, isLessAsJson);
    const explainedBytes = errorToJsonBytes(reasoned, undefined);
    header.set("content-length", String(explainedBytes.length));
    return {
      ...answer,
      status: reasoned.code === error.code ? status : codeToHttpStatus(reasoned.code),
      body: once(explainedBytes),
    };
  }
  return answer;
}

/** gRPC-Web: the trailers are the last frame of the body, marked by the highest bit. */
async function* explainWebTrailer(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const frame of body) {
    const trailer = ((frame[0] ?? 0) & 0x80) === 0 ? undefined : trailerParse(frame.subarray(5));
    const error = trailer === undefined ? undefined : findTrailerError(trailer);
    if (trailer === undefined || error === undefined || trailer.has("grpc-status-details-bin")) {
      yield frame;
      continue;
    }
    const lines = [...setTrailerStatus(trailer, framed(error))].map(([name, value]) => `${name}: ${value}\r\n`);
    const text = Buffer.from(lines.join(""));
    const prefix = Buffer.from([0x80, 0, 0, 0, 0]);
    prefix.writeUInt32BE(text.length, 1);
    yield Buffer.concat([prefix, text]);
  }
}

/** The framework refuses these without a word. */
function plainRefusal(status: 405 | 415, header: Headers | undefined): UniversalServerResponse {
  const expected =
    status === 405 ? "the method POST" : "a content type of Connect, gRPC or gRPC-Web, such as application/json";
  const error = connectErrorOf(new DomainError("REQUEST_MALFORMED", `a call must have ${expected}`));
  return jsonRefusal(status, error, header);
}

function jsonRefusal(status: number, error: ConnectError, header = new Headers()): UniversalServerResponse {
  const bytes = errorToJsonBytes(error, undefined);
  header.set("content-type", "application/json");
  header.set("content-length", String(bytes.length));
  return { status, header, body: once(bytes) };
}

async function* thenExplain(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  if (trailer.get("grpc-status") === "0") return;
  const error = findTrailerError(trailer);
  if (error === undefined) return;
  if (!trailer.has("grpc-status-details-bin")) setTrailerStatus(trailer, framed(error));
  plainStatusMessage(trailer);
}

/** The refusal of a call to what is not served, in the protocol of the caller; undefined if this is no call. */
function unknownMethod(path: string, request: NodeRequest): Handler | undefined {
  const type = /^application\/(grpc-web|grpc|proto|json|connect\+)/.exec(request.headers["content-type"] ?? "")?.[1];
  if (type === undefined || request.method !== "POST" || !/^\/[\w.]+\/\w+$/.test(path)) return undefined;
  const error = connectErrorOf(new DomainError("METHOD_UNKNOWN", `${path.slice(1, 200)} is not served here`));
  if (!type.startsWith("grpc")) return () => Promise.resolve(jsonRefusal(404, error));
  const header = new Headers({ "content-type": `application/${type}` });
  // Over HTTP/2 the status of gRPC counts among headers only if they end the stream, which Node's do not.
  if (type === "grpc")
    return () =>
      Promise.resolve({ status: 200, header, trailer: setTrailerStatus(new Headers(), error), body: nothing() });
  return () => Promise.resolve({ status: 200, header: setTrailerStatus(header, error) });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** A Connect call by GET has its message in the URL, which no budget counts; compressed, it could be any size. */
function compressedQuery({ method, url }: NodeRequest): Handler | undefined {
  if (method !== "GET" || (new URLSearchParams(url?.split("?")[1]).get("compression") ?? "identity") === "identity")
    return undefined;
  const error = connectErrorOf(new DomainError("REQUEST_MALFORMED", "a call by GET must not be compressed"));
  return () => Promise.resolve(jsonRefusal(400, error));
}

function byPath(handlers: readonly UniversalHandler[]): Map<string, UniversalHandler> {
  return new Map(handlers.map((handler) => [handler.requestPath, handler]));
}

/** In each protocol: `application/json`, `application/connect+json`, `application/grpc-web+json`. */
function isJson({ headers }: NodeRequest): boolean {
  return /[/+]json\b/.test(headers["content-type"] ?? "");
}

function pathOf(url: string | undefined): string {
  return (url ?? "").split("?", 1)[0] ?? "";
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
