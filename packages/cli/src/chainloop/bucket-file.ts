import { readFile } from "node:fs/promises";
import { CommandError } from "../errors.ts";
import { unreadable } from "../files/file-errors.ts";

/** Where a bucket is, and how to get in: as in the secret files of cas-gateway (docs/backends.md). */
export interface BucketAccess {
  endpoint: URL;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  /** The bucket in the path rather than in the host's name. */
  pathStyle: boolean;
  /** Certificates in PEM that take the place of those that Node trusts. */
  ca: string | undefined;
  /** Before every key; empty, or with a slash at its end. */
  prefix: string;
}

/** Reads such a file. Throws FILE_UNREADABLE, and SOURCE_INVALID with the field and nothing of the content. */
export async function readBucketFile(file: string): Promise<BucketAccess> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  const invalid = (fault: string) => new CommandError("SOURCE_INVALID", `${file} names no bucket: ${fault}`);
  let fields: Record<string, unknown>;
  try {
    fields = { ...(JSON.parse(text) as object) };
  } catch {
    // Without the cause: what JSON.parse says quotes the content.
    throw invalid("it is not JSON");
  }
  if (fields.provider !== "s3") throw invalid("provider must be s3");
  const optional = (field: string): string | undefined => {
    const value = fields[field];
    if (value !== undefined && typeof value !== "string") throw invalid(`${field} must be a text`);
    return value;
  };
  const required = (field: string): string => {
    const value = optional(field);
    if (!value) throw invalid(`${field} must be a text that is not empty`);
    return value;
  };
  const endpoint = URL.parse(required("endpoint"));
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol) || endpoint.pathname !== "/") {
    throw invalid("endpoint must be http://HOST[:PORT] or https://HOST[:PORT]");
  }
  const bucket = required("bucket");
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw invalid("bucket must be the name of a bucket");
  const pathStyle = fields.pathStyle ?? true;
  if (typeof pathStyle !== "boolean") throw invalid("pathStyle must be true or false");
  return {
    endpoint,
    region: optional("region") || "us-east-1",
    bucket,
    accessKey: required("accessKey"),
    secretKey: required("secretKey"),
    pathStyle,
    ca: optional("ca"),
    prefix: (optional("prefix") ?? "").replace(/([^/])$/, "$1/"),
  };
}
