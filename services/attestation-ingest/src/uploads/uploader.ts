import { describeBlob, uploadBlob } from "@attestry/cas-client";
import type { Transport } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import type { Origin } from "../cache/origin.ts";
import type { ClaimedUpload } from "../db/uploads.ts";
import type { RunPeer } from "../run-peer.ts";

/** 32 MiB at 128 KiB/s. */
const uploadTimeoutMs = 5 * 60_000;
const describeTimeoutMs = 30_000;
/** Short: a token is for the uploads that were claimed together. */
const tokenTtlMs = 10_000;

export interface UploadOptions {
  /** What a token is asked for: the size of the largest bundle that goes to this backend at this time. */
  largestBytes: number;
  signal: AbortSignal;
}

export interface Uploader {
  /** The bundle, its digest checked. */
  bytes(upload: ClaimedUpload): Promise<Buffer>;
  /** Resolves when the backend has it, and said so after the write. */
  upload(upload: ClaimedUpload, bytes: Buffer, options: UploadOptions): Promise<void>;
}

interface Token {
  maxBytes: number;
  token: Promise<string>;
}

/** Uploads through the gateway. One token serves all uploads to a backend for 10 s that are no larger than it allows. */
export function createUploader({ origin, run, cas }: { origin: Origin; run: RunPeer; cas: Transport }): Uploader {
  const tokens = new LRUCache<string, Token>({ max: 1_000, ttl: tokenTtlMs });

  async function tokenFor({ organizationId, backendId, sizeBytes }: ClaimedUpload, maxBytes: number): Promise<string> {
    const key = `${organizationId}:${backendId}`;
    const known = tokens.get(key);
    if (known !== undefined && known.maxBytes >= sizeBytes) return known.token;
    const asked = { maxBytes, token: run.uploadToken({ organizationId, backendId, maxBytes }) };
    tokens.set(key, asked);
    asked.token.catch(() => {
      if (tokens.peek(key) === asked) tokens.delete(key);
    });
    return asked.token;
  }

  return {
    bytes: (upload) => origin.read(upload),

    async upload(upload, bytes, { largestBytes, signal }) {
      const { digest, sizeBytes } = upload;
      signal.throwIfAborted();
      const token = await tokenFor(upload, largestBytes);
      await uploadBlob(cas, { token, digest, bytes, sizeBytes, signal, timeoutMs: uploadTimeoutMs });
      const described = await describeBlob(cas, { token, digest, signal, timeoutMs: describeTimeoutMs });
      if (described.sizeBytes !== sizeBytes) {
        throw new Error(`the backend says that it has ${described.sizeBytes} bytes of ${sizeBytes}`);
      }
    },
  };
}
