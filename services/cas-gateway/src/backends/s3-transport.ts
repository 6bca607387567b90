import { AsyncLocalStorage } from "node:async_hooks";
import * as http from "node:http";
import * as https from "node:https";

/** What one call to the store may use, and what it leaves. */
export interface StoreCall {
  signal: AbortSignal;
  /** HTTP status of the last response. */
  status?: number | undefined;
  /** The store's own error code where it comes in a header: answers to HEAD have no body. */
  headerCode?: string | undefined;
}

const calls = new AsyncLocalStorage<StoreCall>();

/** Runs calls of the minio client with a signal, which the client itself does not take. */
export function withCall<T>(call: StoreCall, act: () => Promise<T>): Promise<T> {
  return calls.run(call, act);
}

/** The statuses that the client drops without reading the response, whose socket would then never be free again. */
const droppedStatuses = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/** The transport that the minio client is given: Node's, with the signal of the call that is under way. */
export function createStoreTransport(useTls: boolean): Pick<typeof http, "request"> {
  const request = (
    options: https.RequestOptions,
    onResponse: (response: http.IncomingMessage) => void,
  ): http.ClientRequest => {
    const call = calls.getStore();
    const signal = call?.signal;
    const sent = (useTls ? https : http).request({ ...options, ...(signal && { signal }) }, (response) => {
      if (call !== undefined) {
        call.status = response.statusCode;
        call.headerCode = String(response.headers["x-minio-error-code"] ?? "") || undefined;
      }
      if (droppedStatuses.has(response.statusCode ?? 0)) response.resume();
      onResponse(response);
    });
    // Node only reports a silent socket; ending it is left to us.
    return sent.on("timeout", () =>
      sent.destroy(Object.assign(new Error("the store went silent"), { code: "ETIMEDOUT" })),
    );
  };
  return { request: request as typeof http.request };
}

const silentMs = 60_000;

/** Connections are kept, and used again latest first, so that the idle ones run out. */
export function createStoreAgent(useTls: boolean): http.Agent {
  const options: http.AgentOptions = {
    keepAlive: true,
    maxSockets: 256,
    maxFreeSockets: 64,
    scheduling: "lifo",
    timeout: silentMs,
  };
  return useTls ? new https.Agent(options) : new http.Agent(options);
}
