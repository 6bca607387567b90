import type { CallOptions } from "@connectrpc/connect";
import { BlobError } from "./error.ts";

/** What every call takes. */
export interface BlobCall {
  /** A CAS token or an API token, without "Bearer"; or what gives one, asked again for each attempt of a call. */
  token: string | (() => Promise<string>);
  signal?: AbortSignal | undefined;
  /** Deadline of the whole call with all of its attempts, in milliseconds; travels to the gateway. */
  timeoutMs?: number | undefined;
}

const digestPattern = /^sha256:([0-9a-f]{64})$/;

export async function callOptions(call: BlobCall): Promise<CallOptions> {
  const token = typeof call.token === "string" ? call.token : await call.token();
  return {
    headers: { authorization: `Bearer ${token}` },
    ...(call.signal !== undefined && { signal: call.signal }),
    ...(call.timeoutMs !== undefined && { timeoutMs: call.timeoutMs }),
  };
}

/** The hex digits of `sha256:<hex>`, as the Remote Execution API writes a digest. Throws DIGEST_INVALID. */
export function hexOf(digest: string): string {
  const hex = digestPattern.exec(digest)?.[1];
  if (hex === undefined) {
    throw new BlobError(
      "DIGEST_INVALID",
      `expected sha256: and 64 lower-case hex digits, got ${JSON.stringify(digest.slice(0, 100))}`,
    );
  }
  return hex;
}
