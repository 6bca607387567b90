import type { Socket } from "node:net";
import { createContextKey } from "@connectrpc/connect";
import type { NodeRequest } from "./rpc-handler.ts";

/** Where a call comes from; undefined in process. */
export const remoteAddressKey = createContextKey<string | undefined>(undefined, { description: "remote address" });

/** Undefined once the connection is gone. */
export function remoteAddressOf(request: NodeRequest): string | undefined {
  const socket: Socket | undefined = "stream" in request ? request.stream.session?.socket : request.socket;
  return socket?.remoteAddress;
}
