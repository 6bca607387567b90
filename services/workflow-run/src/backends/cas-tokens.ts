import { type CasPrincipal, type CasRole, type CasSpace, DomainError } from "@attestry/service-kit";
import { type Retentions, retentionOf } from "../organizations/retention.ts";
import { type Backend, backendInline, casBackendOf } from "./backend.ts";

export interface Owner {
  organizationId: string;
  organization: string;
  retention: Retentions;
}

type Claims = Omit<CasPrincipal, "kind">;

/** To put materials into one backend. Throws BACKEND_INLINE. */
export function uploadClaims(owner: Owner, backend: Backend): Claims {
  const { maxBytes } = backend;
  return { ...ownerClaims(owner, "blobs"), role: "uploader", backends: [casBackendOf(backend)], maxBytes };
}

/** To put one bundle, and nothing else, where a run's plan says. Throws BACKEND_INLINE. */
export function bundleUploadClaims(
  owner: Owner,
  backend: Backend,
  bundle: { digest: string; sizeBytes: number },
): Claims {
  return {
    ...ownerClaims(owner, "bundles"),
    role: "uploader",
    backends: [casBackendOf(backend)],
    maxBytes: bundle.sizeBytes,
    digest: bundle.digest,
  };
}

/** To read one blob from whichever external backend has it. Throws BACKEND_INLINE if there is none. */
export function downloadClaims(owner: Owner, backends: readonly Backend[], digest: string): Claims {
  return { ...anyBackendClaims(owner, backends, "downloader", "blobs"), digest };
}

export interface ServiceAsk {
  role: CasRole;
  space: CasSpace;
  /** Bound of one blob in bytes; 0: the backend's. Materials never get more than the backend's. */
  maxBytes: number;
}

/** What another service asked for one backend. Throws BACKEND_INLINE. */
export function serviceClaims(owner: Owner, backend: Backend, ask: ServiceAsk): Claims {
  const { role, space } = ask;
  const asked = ask.maxBytes === 0 ? backend.maxBytes : ask.maxBytes;
  const maxBytes = space === "blobs" ? Math.min(asked, backend.maxBytes) : asked;
  return { ...ownerClaims(owner, space), role, backends: [casBackendOf(backend)], maxBytes };
}

/** All external backends, the default first. Throws BACKEND_INLINE if there is none. */
export function anyBackendClaims(owner: Owner, backends: readonly Backend[], role: CasRole, space: CasSpace): Claims {
  const external = externalFirst(backends);
  if (external.length === 0) throw backendInline("the organization's backends are all inline");
  const maxBytes = Math.max(...external.map((backend) => backend.maxBytes));
  return { ...ownerClaims(owner, space), role, backends: external.map(casBackendOf), maxBytes };
}

/** Passes if exactly one way of naming a backend was used, or none. Throws REQUEST_INVALID. */
export function checkOneName(id: string, name: string): void {
  if (id === "" || name === "") return;
  throw new DomainError("REQUEST_INVALID", "give backend_id or backend_name, not both");
}

/** Whose blobs they are, and how long the organization keeps them. */
function ownerClaims({ organizationId, organization, retention: retentions }: Owner, space: CasSpace) {
  const retention = retentionOf(retentions, space);
  return { organizationId, organization, space, ...(retention && { retention }) };
}

function externalFirst(backends: readonly Backend[]): Backend[] {
  return backends
    .filter((backend) => backend.provider !== "inline")
    .sort((a, b) => Number(b.isDefault) - Number(a.isDefault) || (a.name < b.name ? -1 : 1));
}
