import { DomainError } from "../errors/domain-error.ts";
import type { ApiPrincipal, CasPrincipal, Principal, ServiceName } from "./principal.ts";

// Audiences. One token is good for one purpose, so that none can be passed on as another kind.
export const apiAudience = "attestry/api";
/** What the chainloop command line looks for in the API token that it is given. */
const chainloopAudience = "api-token-auth.chainloop";
export const casAudience = "attestry/cas";
export const serviceAudience = (service: ServiceName): string => `attestry/service/${service}`;
export const timeAudience = (service: ServiceName): string => `attestry/time/${service}`;

export const casTokenSeconds = 5 * 60;
export const serviceTokenSeconds = 60;
/** Clocks of two hosts may differ by this much. */
export const leewaySeconds = 30;

/** What the tokens of Attestry say. */
export interface TokenPayload {
  iss?: string;
  aud?: string | string[];
  jti?: string;
  iat?: number;
  exp?: number;
  org_id?: string;
  org?: string;
  role?: ApiPrincipal["role"];
  instance_admin?: boolean;
  cas?: Omit<CasPrincipal, "kind" | "organizationId" | "organization">;
}

/** Who the bearer of a verified token is. Throws TOKEN_MALFORMED, TOKEN_AUDIENCE_WRONG. */
export function principalOf(payload: TokenPayload, issuer: ServiceName, here: ServiceName): Principal {
  const audiences = new Set([payload.aud ?? []].flat());
  const isCas = here === "cas-gateway" && issuer === "workflow-run" && audiences.has(casAudience);
  if (audiences.has(serviceAudience(here))) {
    checkLife(payload, "a service", serviceTokenSeconds);
    return { kind: "service", service: issuer };
  }
  if (isCas) checkLife(payload, "the CAS", casTokenSeconds);
  const { org_id: organizationId, org: organization } = payload;
  if (issuer === "workflow-run" && organizationId !== undefined && organization !== undefined) {
    if (isCas && payload.cas !== undefined) return { kind: "cas", organizationId, organization, ...payload.cas };
    const isApi = audiences.has(apiAudience) || audiences.has(chainloopAudience);
    if (isApi && payload.jti !== undefined && payload.role !== undefined) {
      const instanceAdmin = payload.instance_admin === true;
      return { kind: "api", tokenId: payload.jti, organizationId, organization, role: payload.role, instanceAdmin };
    }
  }
  const came = [...audiences].join(", ");
  throw new DomainError(
    "TOKEN_AUDIENCE_WRONG",
    `the token is not for this service: expected the audience ${apiAudience}; came ${came || "none"}`,
    {
      metadata: { expected: apiAudience, actual: came },
    },
  );
}

/** One that would live for longer than such a token is made to was made by somebody else. */
function checkLife({ iat, exp }: TokenPayload, of: string, longest: number): void {
  const life = exp === undefined || iat === undefined ? Number.POSITIVE_INFINITY : exp - iat;
  if (life <= longest) return;
  const came = exp === undefined ? "no exp" : iat === undefined ? "no iat" : `${life} s`;
  throw new DomainError("TOKEN_MALFORMED", `a token for ${of} must run out, ${longest} s after its iat; came ${came}`, {
    metadata: { expected: `1..${longest} s`, actual: came },
  });
}

// The leeway is jose's: a token that has just run out is let through by it, so it must be remembered for as long.
export function expiryOf(payload: TokenPayload): number {
  return payload.exp === undefined ? Number.POSITIVE_INFINITY : (payload.exp + leewaySeconds) * 1000;
}

/** The service that a key id names. Throws TOKEN_SIGNATURE_INVALID. */
export function serviceOf(kid: string): ServiceName {
  const name = kid.split(".")[0];
  if (name === "workflow-run" || name === "attestation-ingest" || name === "cas-gateway") return name;
  throw new DomainError("TOKEN_SIGNATURE_INVALID", "the key id does not name a service");
}
