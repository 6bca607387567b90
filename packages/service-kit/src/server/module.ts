import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { AccessTable } from "../auth/access.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { ServiceName } from "../auth/principal.ts";

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
  /** Decides who a caller is, by the Authorization header. */
  readonly authenticator: Authenticator;
  /** Resolves when it can serve; rejects with the reason. Never asks a peer. */
  ready(): Promise<void>;
  start(): Promise<void>;
  destroy(): Promise<void>;
}
