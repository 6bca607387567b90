import { ErrorInfoSchema, RetryInfoSchema, type StatusSchema } from "@attestry/api/errors";
import { Compressor_Value, DigestFunction_Value } from "@attestry/api/reapi";
import { connectErrorOf, DomainError } from "@attestry/service-kit";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Compressor, isInstanceName } from "./resource-name.ts";

/**
 * Upper bound of the bytes in one batch. gRPC peers receive messages of at most 4 MiB by default; the rest is for
 * digests and framing.
 */
export const maxBatchBytes = 4 * 1024 * 1024 - 128 * 1024;

export type Status = MessageInitShape<typeof StatusSchema>;

/** The instance name of a request; undefined: none. Throws RESOURCE_NAME_INVALID. */
export function parseInstance(name: string): string | undefined {
  if (name === "") return undefined;
  if (isInstanceName(name)) return name;
  throw new DomainError(
    "RESOURCE_NAME_INVALID",
    `instance_name must be the name of a backend, got ${JSON.stringify(name.slice(0, 100))}`,
    {
      metadata: { expected: "the name of a backend", segment: name.slice(0, 100) },
    },
  );
}

/** Throws REQUEST_INVALID unless the function is SHA-256, or left to the length of the hash. */
export function checkDigestFunction(value: DigestFunction_Value): void {
  if (value === DigestFunction_Value.SHA256 || value === DigestFunction_Value.UNKNOWN) return;
  throw new DomainError("REQUEST_INVALID", `digest_function must be SHA256 (1), got ${value}`, {
    metadata: { expected: "SHA256", actual: String(value) },
  });
}

/** What the capabilities tell; IDENTITY goes without saying. */
export const supportedCompressors = [Compressor_Value.ZSTD];

/** Throws REQUEST_INVALID for a compressor that is not served. */
export function parseCompressor(value: Compressor_Value): Compressor {
  if (value === Compressor_Value.IDENTITY) return "identity";
  if (value === Compressor_Value.ZSTD) return "zstd";
  throw new DomainError("REQUEST_INVALID", `compressor must be IDENTITY (0) or ZSTD (1), got ${value}`, {
    metadata: { expected: "IDENTITY or ZSTD", actual: String(value) },
  });
}

/** Throws REQUEST_INVALID if a batch has more bytes than one may have. */
export function checkBatchBytes(sizes: readonly number[]): void {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total <= maxBatchBytes) return;
  throw new DomainError(
    "REQUEST_INVALID",
    `a batch may have at most ${maxBatchBytes} bytes, this one has ${total}; use ByteStream for larger blobs`,
    {
      metadata: { expected: String(maxBatchBytes), actual: String(total) },
    },
  );
}

/** The status of one blob in a batch: what the error would be of a call of its own. */
export function statusOf(error: unknown): Status {
  const { code, rawMessage, details } = connectErrorOf(error);
  const packed = details.flatMap((detail) => {
    if (!("desc" in detail)) return [];
    if (detail.desc === ErrorInfoSchema) return [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, detail.value))];
    if (detail.desc === RetryInfoSchema) return [anyPack(RetryInfoSchema, create(RetryInfoSchema, detail.value))];
    return [];
  });
  return { code, message: rawMessage, details: packed };
}

export const statusOk: Status = { code: 0 };
