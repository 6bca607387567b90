import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type StreamResponse,
  type UnaryResponse,
} from "@connectrpc/connect";
import { methodPath } from "../auth/access.ts";
import { callTimeoutMs } from "./timeout.ts";

// Calls of handlers outside of connect-node: plain gRPC from the bare stream, and calls in process.

type Message = MessageShape<DescMessage>;
type Init = MessageInitShape<DescMessage>;

/** A method with what its module registered for it. */
export interface RecordedMethod {
  method: DescMethod;
  /** Of the method's kind: a message or a stream of them in, a message or a stream of them out. */
  handler: (
    request: Message | AsyncIterable<Message>,
    context: HandlerContext,
  ) => Promise<Init> | Init | AsyncIterable<Init>;
  readMaxBytes: number;
}

/** One that takes a message and gives one. */
export interface UnaryMethod extends RecordedMethod {
  method: DescMethodUnary;
}

/** The reason with which a call is aborted whose time is over. */
export function deadlinePassed(): ConnectError {
  return new ConnectError("the deadline of the call has passed", Code.DeadlineExceeded);
}

/** What a handler is told of a call. Throws REQUEST_MALFORMED for a bad timeout header. */
export function recordedContext(
  method: DescMethod,
  requestHeader: Headers,
  signal: AbortSignal,
  values = createContextValues(),
): HandlerContext {
  const timeout = callTimeoutMs(requestHeader);
  const deadline = timeout === undefined ? undefined : performance.now() + timeout;
  return {
    method,
    service: method.parent,
    signal,
    timeoutMs: () => (deadline === undefined ? undefined : deadline - performance.now()),
    requestMethod: "POST",
    requestHeader,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    protocolName: "grpc",
    values,
    url: `http://localhost${methodPath(method)}`,
  };
}

function requestOf(method: DescMethod, context: HandlerContext) {
  return {
    service: method.parent,
    header: context.requestHeader,
    signal: context.signal,
    contextValues: context.values,
    url: context.url,
    requestMethod: context.requestMethod,
  };
}

function responseOf(method: DescMethod, context: HandlerContext) {
  return { service: method.parent, header: context.responseHeader, trailer: context.responseTrailer };
}

/** The answer of a unary handler, through the interceptor. */
export async function invokeUnary(
  { method, handler }: UnaryMethod,
  message: Message,
  context: HandlerContext,
  interceptor: Interceptor,
): Promise<UnaryResponse> {
  const call = interceptor(async (request) => {
    const output = create(method.output, (await handler(request.message as Message, context)) as Init);
    return { stream: false, method, message: output, ...responseOf(method, context) };
  });
  const response = await call({ stream: false, method, message, ...requestOf(method, context) });
  if (response.stream) throw new Error("a unary call became a stream");
  return response;
}

/** The answers of a streaming handler, through the interceptor. */
export async function invokeStream(
  { method, handler }: RecordedMethod,
  messages: AsyncIterable<Message>,
  context: HandlerContext,
  interceptor: Interceptor,
): Promise<StreamResponse> {
  const streaming = method as DescMethodStreaming;
  const call = interceptor(async (request) => {
    const requests = request.message as AsyncIterable<Message>;
    const input = method.methodKind === "server_streaming" ? await only(requests) : requests;
    const output = handler(input, context);
    const answers =
      method.methodKind === "client_streaming"
        ? once(await (output as Promise<Init>))
        : (output as AsyncIterable<Init>);
    return { stream: true, method: streaming, message: normalized(method, answers), ...responseOf(method, context) };
  });
  const response = await call({ stream: true, method: streaming, message: messages, ...requestOf(method, context) });
  if (!response.stream) throw new Error("a stream became a unary call");
  return response;
}

async function only(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new ConnectError("the call has no message", Code.InvalidArgument);
}

async function* once(init: Init): AsyncGenerator<Init> {
  yield init;
}

async function* normalized(method: DescMethod, answers: AsyncIterable<Init>): AsyncGenerator<Message> {
  for await (const answer of answers) yield create(method.output, answer);
}
