import { describeBlob, uploadBlob } from "@attestry/cas-client";
import type { Transport } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import type { Origin } from "../cache/origin.ts";
import type { ClaimedUpload } from "../db/uploads.ts";
import type { RunPeer } from "../run-peer.ts";

const largestBundleBytes = 32 * 1024 * 1024;
/** 32 MiB at 128 KiB/s. */
const uploadTimeoutMs = 5 * 60_000;
const describeTimeoutMs = 30_000;
/** Short: a token is for the uploads that were claimed together. */
const tokenTtlMs = 10_000;

export interface Uploader {
  /** The bundle, its digest checked. */
  bytes(upload: ClaimedUpload): Promise<Buffer>;
  /** Resolves when the backend has it, and said so after the write. */
  upload(upload: ClaimedUpload, bytes: Buffer, signal: AbortSignal): Promise<void>;
}

/** Uploads through the gateway. One token serves all uploads to a backend for 10 s. */
export function createUploader({ origin, run, cas }: { origin: Origin; run: RunPeer; cas: Transport }): Uploader {
  const tokens = new LRUCache<string, string, ClaimedUpload>({
    max: 1_000,
    ttl: tokenTtlMs,
    ignoreFetchAbort: true,
    fetchMethod: (_key, _stale, { context: { organizationId, backendId } }) =>
      run.uploadToken({ organizationId, backendId, maxBytes: largestBundleBytes }),
  });

  return {
    bytes: (upload) => origin.read(upload),

    async upload(upload, bytes, signal) {
      const { organizationId, backendId, digest, sizeBytes } = upload;
      signal.throwIfAborted();
      const token = await tokens.forceFetch(`${organizationId}:${backendId}`, { context: upload });
      await uploadBlob(cas, { token, digest, bytes, sizeBytes, signal, timeoutMs: uploadTimeoutMs });
      const described = await describeBlob(cas, { token, digest, signal, timeoutMs: describeTimeoutMs });
      if (described.sizeBytes !== sizeBytes) {
        throw new Error(`the backend says that it has ${described.sizeBytes} bytes of ${sizeBytes}`);
      }
    },
  };
}
