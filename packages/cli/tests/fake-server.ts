import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

export interface FakeServer {
  url: string;
  stop(): Promise<void>;
}

/** A gRPC server with the handlers of a test: for what a real server does only on a bad day. */
export async function startFakeServer(routes: (router: ConnectRouter) => void): Promise<FakeServer> {
  const server = http2.createServer(connectNodeAdapter({ routes }));
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An error as the services make it. */
export function refusal(code: Code, reason: string, message: string, retryAfterMs?: number): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: "attestry.dev", metadata: {} } };
  const retry = {
    desc: RetryInfoSchema,
    value: { retryDelay: { seconds: 0n, nanos: (retryAfterMs ?? 0) * 1_000_000 } },
  };
  return new ConnectError(message, code, undefined, retryAfterMs === undefined ? [info] : [info, retry]);
}

export { Code };

/** A handler that never answers; it ends with its call, as a hanging real one would. */
export function hang(_request: unknown, { signal }: HandlerContext): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
}
