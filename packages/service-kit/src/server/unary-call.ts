import {
  create,
  type DescMessage,
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
  type UnaryResponse,
} from "@connectrpc/connect";
import { callTimeoutMs } from "./timeout.ts";

/** One unary method with what its module registered for it. */
export interface UnaryMethod {
  method: DescMethodUnary;
  handler: (
    request: MessageShape<DescMessage>,
    context: HandlerContext,
  ) => Promise<MessageInitShape<DescMessage>> | MessageInitShape<DescMessage>;
  readMaxBytes: number;
}

/** The reason with which a call is aborted whose time is over. */
export function deadlinePassed(): ConnectError {
  return new ConnectError("the deadline of the call has passed", Code.DeadlineExceeded);
}

/** What a handler is told of a call. Throws REQUEST_MALFORMED for a bad timeout header. */
export function unaryContext(method: DescMethodUnary, requestHeader: Headers, signal: AbortSignal): HandlerContext {
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
    values: createContextValues(),
    url: `http://localhost/${method.parent.typeName}/${method.name}`,
  };
}

/** The answer of the handler, through the interceptor. */
export async function invokeUnary(
  { method, handler }: UnaryMethod,
  message: MessageShape<DescMessage>,
  context: HandlerContext,
  interceptor: Interceptor,
): Promise<UnaryResponse> {
  const call = interceptor(async (request) => {
    if (request.stream) throw new Error("a unary call became a stream");
    const output = create(method.output, await handler(request.message, context));
    return {
      stream: false,
      service: method.parent,
      method,
      message: output,
      header: context.responseHeader,
      trailer: context.responseTrailer,
    };
  });
  const response = await call({
    stream: false,
    service: method.parent,
    method,
    message,
    header: context.requestHeader,
    signal: context.signal,
    contextValues: context.values,
    url: context.url,
    requestMethod: context.requestMethod,
  });
  if (response.stream) throw new Error("a unary call became a stream");
  return response;
}
