import type { DescMethod, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import type { UnaryMethod } from "./unary-call.ts";

/** Passes registrations on to connect's router, and keeps the unary methods among them by their path. */
export function recordUnary(
  router: ConnectRouter,
  defaultReadMaxBytes: number,
  into: Map<string, UnaryMethod>,
): ConnectRouter {
  function record(
    method: DescMethod,
    handler: UnaryMethod["handler"] | undefined,
    readMaxBytes: number | undefined,
  ): void {
    if (method.methodKind !== "unary") return;
    const unary = method as DescMethodUnary;
    into.set(`/${method.parent.typeName}/${method.name}`, {
      method: unary,
      handler: handler ?? unimplemented(unary),
      readMaxBytes: readMaxBytes ?? defaultReadMaxBytes,
    });
  }
  const recording: ConnectRouter = {
    handlers: router.handlers,
    service(service: DescService, implementation, options) {
      router.service(service, implementation, options);
      const handlers = implementation as Record<string, UnaryMethod["handler"] | undefined>;
      for (const method of service.methods) {
        record(method, handlers[method.localName]?.bind(implementation), options?.readMaxBytes);
      }
      return recording;
    },
    rpc(method, handler, options) {
      router.rpc(method, handler, options);
      record(method, handler as UnaryMethod["handler"], options?.readMaxBytes);
      return recording;
    },
  };
  return recording;
}

function unimplemented(method: DescMethodUnary): UnaryMethod["handler"] {
  return () => {
    throw new ConnectError(`${method.parent.typeName}.${method.name} is not implemented`, Code.Unimplemented);
  };
}
