import { X509Certificate } from "node:crypto";
import { isAbsolute } from "node:path";
import { DomainError } from "@attestry/service-kit";
import type { LockMode, S3Encryption } from "../backends/s3-options.ts";

/** What is behind a secret reference: where a backend is, and how to get in. */
export type Secret = FilesystemSecret | S3Secret;

export interface FilesystemSecret {
  provider: "filesystem";
  /** Absolute path of a folder. */
  path: string;
  /** Before every key; empty, or with a slash at its end. */
  prefix: string;
}

export interface S3Secret {
  provider: "s3";
  endpoint: URL;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  /** Before every key; empty, or with a slash at its end. */
  prefix: string;
  pathStyle: boolean;
  /** Certificates in PEM; undefined: the authorities that Node trusts. */
  ca: string | undefined;
  /** Encryption by the store; undefined: as its bucket says. */
  sse: S3Encryption | undefined;
  /** How blobs are held where the bucket has Object Lock and the organization wants them kept. */
  objectLockMode: LockMode;
}

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const keyIdPattern = /^[\x21-\x7e]{1,2048}$/;
const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const prefixPattern = /^[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100}){0,9}$/;

/**
 * Reads the JSON of a secret file. Throws SECRET_INVALID with the reference and the field, and nothing of the content.
 *
 * `provider` is `filesystem` or `s3`. For both, `prefix` (path segments; default none) goes before every key.
 * `filesystem` has `path`, the absolute path of a folder. `s3` has:
 * - `endpoint`: `http://HOST[:PORT]` or `https://HOST[:PORT]`; `bucket`; `accessKey`; `secretKey`;
 * - `region`: default `us-east-1`;
 * - `pathStyle`: default true, the bucket in the path (MinIO); false, in the host's name (`BUCKET.HOST`; Amazon always);
 * - `ca`: text in PEM of the certificates of the authorities that are trusted for this store, and no others; only with
 *   https;
 * - `sse`: encryption by the store of what is written: `"AES256"`, or `{"kms": "KEY-ID"}` for a key of its key management;
 * - `objectLockMode`: how blobs are held that an organization wants kept, where the bucket has Object Lock: `COMPLIANCE`
 *   (default), which nobody can lift before its time, or `GOVERNANCE`, which whoever has a right of its own can.
 */
export function parseSecret(ref: string, text: string): Secret {
  const fields = parseObject(ref, text);
  const prefix = normalizePrefix(fields.prefix ?? "");
  if (prefix === undefined)
    throw secretInvalid(ref, "prefix must be path segments of letters, digits, dot, dash and underscore");
  const required = (field: string): string => {
    const value = fields[field];
    if (typeof value !== "string" || value === "")
      throw secretInvalid(ref, `${field} must be a text that is not empty`);
    return value;
  };
  switch (fields.provider) {
    case "filesystem": {
      const path = required("path");
      if (!isAbsolute(path)) throw secretInvalid(ref, "path must be absolute");
      return { provider: "filesystem", path, prefix };
    }
    case "s3": {
      const endpoint = URL.canParse(required("endpoint")) ? new URL(required("endpoint")) : undefined;
      if (endpoint === undefined || !/^https?:$/.test(endpoint.protocol) || endpoint.pathname !== "/") {
        throw secretInvalid(ref, "endpoint must be http://HOST[:PORT] or https://HOST[:PORT]");
      }
      const bucket = required("bucket");
      if (!bucketPattern.test(bucket)) throw secretInvalid(ref, "bucket must be the name of a bucket");
      const region = fields.region === undefined ? "us-east-1" : required("region");
      const pathStyle = fields.pathStyle ?? true;
      if (typeof pathStyle !== "boolean") throw secretInvalid(ref, "pathStyle must be true or false");
      return {
        provider: "s3",
        endpoint,
        region,
        bucket,
        accessKey: required("accessKey"),
        secretKey: required("secretKey"),
        prefix,
        pathStyle,
        ca: parseCa(ref, fields.ca, endpoint),
        sse: parseEncryption(ref, fields.sse),
        objectLockMode: parseLockMode(ref, fields.objectLockMode),
      };
    }
    default:
      throw secretInvalid(ref, "provider must be filesystem or s3");
  }
}

function parseCa(ref: string, ca: unknown, endpoint: URL): string | undefined {
  if (ca === undefined) return undefined;
  if (endpoint.protocol !== "https:") throw secretInvalid(ref, "ca is for an https endpoint only");
  const certificates = typeof ca === "string" ? (ca.match(certificatePattern) ?? []) : [];
  if (certificates.length === 0 || !certificates.every(isCertificate))
    throw secretInvalid(ref, "ca must be the text of one or more certificates in PEM");
  return certificates.join("\n");
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

function parseEncryption(ref: string, sse: unknown): S3Encryption | undefined {
  if (sse === undefined || sse === "AES256") return sse;
  const isObject = typeof sse === "object" && sse !== null && !Array.isArray(sse);
  const fields: Record<string, unknown> = isObject ? { ...sse } : {};
  const { kms } = fields;
  if (typeof kms === "string" && keyIdPattern.test(kms) && Object.keys(fields).length === 1) return { kms };
  throw secretInvalid(ref, 'sse must be "AES256" or {"kms": "KEY-ID"}');
}

function parseLockMode(ref: string, mode: unknown): LockMode {
  if (mode === undefined || mode === "COMPLIANCE" || mode === "GOVERNANCE") return mode ?? "COMPLIANCE";
  throw secretInvalid(ref, "objectLockMode must be COMPLIANCE or GOVERNANCE");
}

/** The prefix with one slash at its end, or empty; undefined if it could name something outside. */
export function normalizePrefix(prefix: unknown): string | undefined {
  if (typeof prefix !== "string") return undefined;
  const bare = prefix.replace(/\/$/, "");
  if (bare === "") return "";
  const climbs = bare.split("/").some((segment) => segment === "." || segment === "..");
  return prefixPattern.test(bare) && !climbs ? `${bare}/` : undefined;
}

export function secretInvalid(ref: string, fault: string): DomainError {
  return new DomainError("SECRET_INVALID", `the secret ${ref} is not usable: ${fault}`, {
    metadata: { secret_ref: ref },
  });
}

function parseObject(ref: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Without the cause: what JSON.parse says quotes the content.
    throw secretInvalid(ref, "it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw secretInvalid(ref, "it is not a JSON object");
  return value as Record<string, unknown>;
}
