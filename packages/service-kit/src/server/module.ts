import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { AccessTable } from "../auth/access.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Principal, ServiceName } from "../auth/principal.ts";
import type { Logger } from "../observe/logger.ts";
import type { NodeRequest, NodeResponse } from "./rpc-handler.ts";

/** What is served beside the RPCs, on the same port, over HTTP/1.1 and HTTP/2. */
export interface HttpRoute {
  /** Paths that begin with it are the route's, `/v1/blobs/`. */
  readonly prefix: string;
  /**
   * Answers a request; decides itself who may call, by `call.authenticate` and the access rules. What it throws before
   * the head of the answer is sent becomes a JSON error with the status of its code; later, the connection ends.
   */
  handle(request: NodeRequest, response: NodeResponse, call: HttpCall): Promise<void>;
}

export interface HttpCall {
  /** Aborts when the caller goes away, and when the server has to end. */
  signal: AbortSignal;
  logger: Logger;
  /**
   * Who sends the request: the bearer of the token, where a link carries one, or else of the Authorization header. Throws what
   * `Authenticator.authenticate` throws, and RATE_LIMITED. Whether they may is `authorize`'s to say.
   */
  authenticate: (token?: string) => Promise<Principal>;
}

/**
 * One of the three services, ready to be served: alone behind its own port, or with the others in one process.
 * `start` begins background work, `destroy` ends it and closes what the context opened; both are safe to call twice.
 */
export interface ServiceModule {
  readonly name: ServiceName;
  /** What it registers; reflection and health show these. */
  readonly services: readonly DescService[];
  /** Registers the handlers. Called once for each server and once for the in-process transport. */
  routes(router: ConnectRouter): void;
  /** Who may call each method; one without a rule is a fault at start. */
  readonly access: AccessTable;
  /** What it serves beside RPCs. */
  readonly http?: readonly HttpRoute[];
  /** Decides who a caller is, by the Authorization header. */
  readonly authenticator: Authenticator;
  /** Resolves when it can serve; rejects with the reason. Never asks a peer. */
  ready(): Promise<void>;
  start(): Promise<void>;
  destroy(): Promise<void>;
}

/** Throws if there is a service twice, as modules on one port may have it: calls would reach one of the two. */
export function checkDistinct(services: readonly DescService[]): void {
  const twice = services.find(({ typeName }, index) =>
    services.slice(0, index).some((one) => one.typeName === typeName),
  );
  if (twice !== undefined) throw new Error(`two modules serve ${twice.typeName}`);
}
