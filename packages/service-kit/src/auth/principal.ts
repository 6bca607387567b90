import { createContextKey, type HandlerContext } from "@connectrpc/connect";

/** The three services, as they name themselves in service tokens. */
export type ServiceName = "workflow-run" | "attestation-ingest" | "cas-gateway";

/** Roles of API tokens; each can do what the ones after it can. */
export type Role = "admin" | "ci" | "reader";

/** Someone with an API token: a client of one organization. */
export interface ApiPrincipal {
  kind: "api";
  tokenId: string;
  organizationId: string;
  /** The organization's name, which never changes. */
  organization: string;
  role: Role;
  instanceAdmin: boolean;
}

/** Another service. */
export interface ServicePrincipal {
  kind: "service";
  service: ServiceName;
}

/** A backend as a CAS token names it: enough for the gateway to find its secret, and nothing of what is behind it. */
export interface CasBackend {
  id: string;
  name: string;
  provider: "filesystem" | "s3";
  /** `NAME` in the organization's own folder, or `_shared/NAME`. */
  secretRef: string;
  /** Before every key, in addition to the organization's; may be empty. */
  prefix: string;
}

export type CasRole = "uploader" | "downloader" | "manager";

/** The two key spaces of a backend: materials of clients, and bundles of attestation-ingest. */
export type CasSpace = "blobs" | "bundles";

/** How long the blobs of a key space are kept, in seconds; 0: no bound. Set by the organization. */
export interface RetentionBounds {
  atLeastSeconds: number;
  atMostSeconds: number;
  /**
   * When the bounds of materials were set, in seconds since 1970: until then somebody may have been told that a blob is
   * there which is older than the new end allows. Absent for attestations.
   */
  since?: number;
}

/** Someone with a CAS token: may do one kind of thing in one organization's backends for 5 min. */
export interface CasPrincipal {
  kind: "cas";
  organizationId: string;
  organization: string;
  role: CasRole;
  space: CasSpace;
  /** In the order in which they are tried; an upload goes to the first. */
  backends: CasBackend[];
  /** Upper bound of one blob, in bytes. */
  maxBytes: number;
  /** Only this blob, `sha256:<hex>`. */
  digest?: string;
  /** What a browser saves the blob as. */
  fileName?: string;
  /** Of the key space; absent: no bounds. */
  retention?: RetentionBounds;
}

export type Principal = ApiPrincipal | ServicePrincipal | CasPrincipal;

export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** The caller, when the access table of the service lets in only API tokens. */
export function apiPrincipal(context: HandlerContext): ApiPrincipal {
  return principalOfKind(context, "api");
}

/** The caller, when the access table of the service lets in only CAS tokens. */
export function casPrincipal(context: HandlerContext): CasPrincipal {
  return principalOfKind(context, "cas");
}

/** The caller, whatever its kind. */
export function principal(context: HandlerContext): Principal {
  const found = context.values.get(principalKey);
  if (found === undefined)
    throw new Error("a handler ran without a principal: its method is public in the access table");
  return found;
}

function principalOfKind<K extends Principal["kind"]>(
  context: HandlerContext,
  kind: K,
): Extract<Principal, { kind: K }> {
  const found = principal(context);
  if (found.kind !== kind)
    throw new Error(`the access table let in a principal of kind ${found.kind}, the handler takes ${kind}`);
  return found as Extract<Principal, { kind: K }>;
}
