import http2 from "node:http2";
import type { NodeRequest } from "./rpc-handler.ts";

const letGoMs = 1_000;

/**
 * For a request that was answered before all of its body was read: what still comes is let go by, so that its connection
 * can be used again, but for a second at most. Then its HTTP/2 stream is closed (RFC 9113, section 8.1) or its connection.
 */
export function letGoOfBody(request: NodeRequest): void {
  if (request.readableEnded || request.destroyed) return;
  request.removeAllListeners("readable").resume();
  const stop = setTimeout(() => {
    if ("stream" in request) request.stream.close(http2.constants.NGHTTP2_NO_ERROR);
    else request.socket.destroy();
  }, letGoMs);
  request.once("end", () => clearTimeout(stop)).once("close", () => clearTimeout(stop));
}
