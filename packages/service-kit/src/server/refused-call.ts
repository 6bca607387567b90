import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { methodName } from "../auth/access.ts";
import { connectErrorOf } from "../errors/connect-error.ts";
import { requestContextOf } from "../observe/request-context.ts";
import type { FinishedCall } from "./interceptor.ts";

/** Reports a call that never reached the interceptor; what its caller is told, with its request id. */
export function refusedCall(
  report: (call: FinishedCall) => void,
  method: DescMethod,
  header: Headers,
  began: number,
  error: unknown,
): ConnectError {
  const refusal = connectErrorOf(error);
  const context = requestContextOf(header, undefined);
  refusal.metadata.set("x-request-id", context.requestId);
  report({ method: methodName(method), code: refusal.code, error, ms: performance.now() - began, context });
  return refusal;
}
