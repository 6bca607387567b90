import { type CasBackend, DomainError } from "@attestry/service-kit";
import { nameRule, parseName } from "../text.ts";

export type BackendProvider = "inline" | "filesystem" | "s3";
export type BackendStatus = "unknown" | "valid" | "invalid";

export interface Backend {
  organizationId: string;
  id: string;
  name: string;
  provider: BackendProvider;
  /** Empty for inline. */
  secretRef: string;
  prefix: string;
  isDefault: boolean;
  /** Bound of one material, in bytes. */
  maxBytes: number;
  status: BackendStatus;
  validatedAt: Date | null;
  validationError: string;
  /** What the last validation found that the store does not know and the gateway does without. */
  validationNotes: string[];
  /** Since when somebody may have put blobs there without a run; null: nobody can have. */
  uploadsSince: Date | null;
  createdAt: Date;
}

export type NewBackend = Omit<
  Backend,
  "status" | "validatedAt" | "validationError" | "validationNotes" | "uploadsSince" | "createdAt"
>;

/** What Update changes; undefined: stays. */
export interface BackendChange {
  secretRef: string | undefined;
  maxBytes: number | undefined;
  makeDefault: boolean;
}

/** Backends that one organization may have. */
export const mostBackends = 100;

// KB and MB of the documentation are 1,024 and 1,024² bytes.
const defaultMaxBytes = { inline: 500 * 1024, external: 10 * 1024 * 1024 };
/** An inline material is part of its bundle, which has at most 32 MiB. */
const greatestMaxBytes = { inline: 32 * 1024 * 1024, external: 2 ** 40 };

/** The bound of one material in bytes; the provider's default for 0. Throws MAX_BYTES_INVALID. */
export function parseMaxBytes(asked: bigint, provider: BackendProvider): number {
  const kind = provider === "inline" ? "inline" : "external";
  if (asked === 0n) return defaultMaxBytes[kind];
  if (asked > 0n && asked <= BigInt(greatestMaxBytes[kind])) return Number(asked);
  const expected = `1 to ${greatestMaxBytes[kind]} bytes, or 0 for ${defaultMaxBytes[kind]}`;
  throw new DomainError("MAX_BYTES_INVALID", `max_bytes of an ${kind} backend must be ${expected}; came ${asked}`, {
    metadata: { expected, actual: String(asked) },
  });
}

/** `NAME` or `_shared/NAME`; nothing for inline. Throws SECRET_REF_INVALID. */
export function parseSecretRef(text: string, provider: BackendProvider): string {
  const isInline = provider === "inline";
  const expected = isInline
    ? "empty for an inline backend"
    : `NAME or _shared/NAME, where NAME has ${nameRule.expected}`;
  const pattern = isInline ? /^$/ : /^(_shared\/)?[a-z0-9][a-z0-9-]{0,62}$/;
  return parseName(text, { pattern, expected }, "secret_ref", "SECRET_REF_INVALID");
}

/**
 * The gateway's own folders below a backend's prefix: a backend in one of them would lie inside what it sweeps, lists and
 * scrubs of a backend without a prefix (docs/backends.md).
 */
const reservedFolders = ["blobs", "bundles", "corrupt", "data", "expired", "probes", "scrub", "uploads"];

/** What is put before every key, without a slash at either end; nothing for inline. Throws PREFIX_INVALID. */
export function parsePrefix(text: string, provider: BackendProvider): string {
  if (text === "") return text;
  const expected =
    provider === "inline"
      ? "empty for an inline backend"
      : "up to 200 letters, digits, '.', '_', '-' and '/', without '.', '..' or nothing between slashes";
  const pattern =
    provider === "inline"
      ? /^$/
      : /^(?=.{1,200}$)(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/;
  const prefix = parseName(text, { pattern, expected }, "prefix", "PREFIX_INVALID");
  const outside = {
    pattern: new RegExp(`^(?!(${reservedFolders.join("|")})(/|$))`),
    expected: `a path that does not begin with ${reservedFolders.join(", ")}, where the gateway keeps what is its own`,
  };
  return parseName(prefix, outside, "prefix", "PREFIX_INVALID");
}

/** The backend as a CAS token names it. Throws BACKEND_INLINE if there is no CAS behind it. */
export function casBackendOf(backend: Backend): CasBackend {
  const { id, name, provider, secretRef, prefix } = backend;
  if (provider === "inline") throw backendInline(`backend ${name} is inline: what it keeps is in the database`);
  return { id, name, provider, secretRef, prefix };
}

export function backendInline(words: string): DomainError {
  return new DomainError("BACKEND_INLINE", `${words}; there is no CAS to talk to`, {
    metadata: { expected: "an external backend", actual: "inline" },
  });
}

export function backendAtSamePlace(other: string): DomainError {
  return new DomainError(
    "BACKEND_EXISTS",
    `backend ${other} of this organization has the same provider, secret_ref and prefix: both would keep the same blobs; give this one another prefix, or use ${other}`,
    { metadata: { backend: other } },
  );
}

export function backendNotFound(name: string): DomainError {
  return new DomainError("BACKEND_NOT_FOUND", `there is no backend ${name} in this organization`, {
    metadata: { backend: name },
  });
}
