import { isAbsolute } from "node:path";
import { DomainError } from "@attestry/service-kit";

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
}

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const prefixPattern = /^[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100}){0,9}$/;

/** Reads the JSON of a secret file. Throws SECRET_INVALID with the reference and the field, and nothing of the content. */
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
      };
    }
    default:
      throw secretInvalid(ref, "provider must be filesystem or s3");
  }
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
