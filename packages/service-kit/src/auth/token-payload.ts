import type { JWTPayload } from "jose";
import { DomainError } from "../errors/domain-error.ts";
import type { ApiPrincipal, CasBackend, CasPrincipal } from "./principal.ts";

/** What Attestry's tokens say, beside what every JWT may say (RFC 7519 section 4.1). */
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

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isSize: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.some((known) => known === value);
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const objectOf =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const backend: Record<keyof CasBackend, Check> = {
  id: isText,
  name: isText,
  provider: oneOf("filesystem", "s3"),
  secretRef: isText,
  prefix: isText,
};

const cas: Record<keyof NonNullable<TokenPayload["cas"]>, Check> = {
  role: oneOf("uploader", "downloader", "manager"),
  space: oneOf("blobs", "bundles"),
  backends: listOf(objectOf(backend)),
  maxBytes: isSize,
  digest: orAbsent(isText),
  fileName: orAbsent(isText),
  retention: orAbsent(objectOf({ atLeastSeconds: isSize, atMostSeconds: isSize, since: orAbsent(Number.isFinite) })),
};

const claims: Record<keyof TokenPayload, Check> = {
  iss: isText,
  aud: (value) => isText(value) || listOf(isText)(value),
  jti: isText,
  iat: Number.isFinite,
  exp: Number.isFinite,
  org_id: isText,
  org: isText,
  role: oneOf("admin", "ci", "reader"),
  instance_admin: (value) => typeof value === "boolean",
  cas: objectOf(cas),
};

/**
 * The payload of a token whose signature is right, once each claim that it has is of the kind that it must be: a key may
 * have signed other JWTs too. Throws TOKEN_MALFORMED, which names the claim.
 */
export function checkedPayload(payload: JWTPayload): TokenPayload {
  for (const [name, check] of Object.entries(claims)) {
    if (orAbsent(check)(payload[name])) continue;
    throw new DomainError("TOKEN_MALFORMED", `the token is no JWT as Attestry issues them: its claim ${name} is none`, {
      metadata: { expected: "a claim as Attestry writes it", claim: name },
    });
  }
  return payload as TokenPayload;
}
