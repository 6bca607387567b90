import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

/** What travels with a request to the next service. */
export interface RequestContext {
  requestId: string;
  /** W3C Trace Context, level 1. */
  traceparent: string;
  /** By `performance.now()`, in milliseconds; undefined: the caller set none. */
  deadline: number | undefined;
}

export const requestStorage = new AsyncLocalStorage<RequestContext>();

const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const requestIdPattern = /^[\x21-\x7e]{1,128}$/;

/** Takes up what the caller sent, or begins anew. */
export function requestContextOf(headers: Headers, timeoutMs: number | undefined): RequestContext {
  const sentTrace = headers.get("traceparent");
  const sentId = headers.get("x-request-id");
  const traceparent = sentTrace !== null && traceparentPattern.test(sentTrace) ? sentTrace : newTraceparent();
  return {
    traceparent,
    requestId: sentId !== null && requestIdPattern.test(sentId) ? sentId : traceparent.slice(3, 35),
    deadline: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
  };
}

/** From UUIDs, whose randomness Node draws in advance. */
function newTraceparent(): string {
  const random = (randomUUID() + randomUUID()).replaceAll("-", "");
  return `00-${random.slice(0, 32)}-${random.slice(32, 48)}-01`;
}
