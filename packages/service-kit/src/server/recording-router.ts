import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { methodPath } from "../auth/access.ts";
import type { RecordedMethod } from "./recorded-call.ts";

/** Passes registrations on to connect's router, and keeps what was registered for each method by its path. */
export function recordMethods(
  router: ConnectRouter,
  defaultReadMaxBytes: number,
  into: Map<string, RecordedMethod>,
): ConnectRouter {
  function record(method: DescMethod, handler: unknown, readMaxBytes: number | undefined): void {
    into.set(methodPath(method), {
      method,
      handler: (handler ?? unimplemented(method)) as RecordedMethod["handler"],
      readMaxBytes: readMaxBytes ?? defaultReadMaxBytes,
    });
  }
  const recording: ConnectRouter = {
    handlers: router.handlers,
    service(service: DescService, implementation, options) {
      router.service(service, implementation, options);
      const handlers = implementation as Record<string, RecordedMethod["handler"] | undefined>;
      for (const method of service.methods) {
        record(method, handlers[method.localName]?.bind(implementation), options?.readMaxBytes);
      }
      return recording;
    },
    rpc(method, handler, options) {
      router.rpc(method, handler, options);
      record(method, handler, options?.readMaxBytes);
      return recording;
    },
  };
  return recording;
}

function unimplemented(method: DescMethod): () => never {
  return () => {
    throw new ConnectError(`${method.parent.typeName}.${method.name} is not implemented`, Code.Unimplemented);
  };
}
