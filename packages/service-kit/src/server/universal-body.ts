import type { ContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import type { BodyBudget, BodyLease } from "./body-budget.ts";
import { nameOwner } from "./body-owner.ts";
import type { BodyPace } from "./body-pace.ts";
import { boundedBody } from "./bounded-body.ts";
import type { ReceiveWindows } from "./receive-windows.ts";
import type { NodeRequest, NodeResponse } from "./rpc-handler.ts";

/** All requests of one stream that anyone may open, in bytes. */
const openStreamMaxBytes = 32 * 1024;

export interface UniversalBodyOptions {
  /** Undefined: no method that is served, whose body nobody reads. */
  kind: NonNullable<UniversalHandler["method"]>["methodKind"] | undefined;
  /** Whether anyone may call the method: it is no module's. */
  isOpen: boolean;
  readMaxBytes: number;
  values: ContextValues;
  budget: BodyBudget;
  windows: ReceiveWindows;
  pace: BodyPace;
}

/** The body of a call as connect reads it, within the bounds of its kind: one message, or a stream of them. */
export function universalBody(
  request: NodeRequest,
  response: NodeResponse,
  { kind, isOpen, readMaxBytes, values, budget, windows, pace }: UniversalBodyOptions,
): AsyncIterable<Uint8Array> {
  switch (kind) {
    case undefined:
      return bytesOf(request);
    case "unary":
    case "server_streaming": {
      const lease = budget.lease();
      // Not when the answer was handed over: until it is sent, the message is held.
      response.once("close", lease.release);
      const counted = lease.count(bytesOf(request), isCompressed(request) ? readMaxBytes : 0);
      const body = owned(lease, values, counted);
      // A stream of answers may last for hours; its one message is not held for it.
      return kind === "unary" ? body : thenRelease(lease, body);
    }
    default:
      if (isOpen) return boundedBody(request, { maxBytes: openStreamMaxBytes, idleMs: pace.idleMs });
      return "stream" in request ? withinWindows(request, windows) : bytesOf(request);
  }
}

/**
 * Over HTTP/1.1 a body that is left half read must not be destroyed: its rest would stop the parser, and the next call
 * on the same connection would never be heard.
 */
function bytesOf(request: NodeRequest): AsyncIterable<Uint8Array> {
  return "stream" in request ? request : request.iterator({ destroyOnReturn: false });
}

/** It is read only after the gate, which has said by then whose it is. */
async function* owned(
  lease: BodyLease,
  values: ContextValues,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  nameOwner(lease, values);
  yield* body;
}

async function* thenRelease(lease: BodyLease, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* body;
  lease.release();
}

async function* withinWindows(
  request: Extract<NodeRequest, { stream: unknown }>,
  windows: ReceiveWindows,
): AsyncGenerator<Uint8Array> {
  windows.opened(request.stream);
  yield* request;
}

/** Whether a body may grow when it is read: the headers of Connect, and that of gRPC and gRPC-Web. */
function isCompressed({ headers }: NodeRequest): boolean {
  return [headers["content-encoding"], headers["connect-content-encoding"], headers["grpc-encoding"]].some(
    (encoding) => encoding !== undefined && encoding !== "identity",
  );
}
