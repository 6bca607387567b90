import { createHash } from "node:crypto";
import {
  type BatchUpdateBlobsResponse_Response,
  ContentAddressableStorage,
  DigestFunction_Value,
} from "@attestry/api/reapi";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";
import { BlobError } from "./error.ts";
import { mayPass } from "./faults.ts";
import type { Announced, OpenSource } from "./upload-source.ts";

/** Above this size a call of its own costs little. */
const smallBytes = 512 * 1024;
/** gRPC peers receive 4 MiB by default; names and sizes need some of it. */
const batchBytes = 3 * 1024 * 1024;
const batchBlobs = 500;

interface BatchedBlob extends Announced {
  open: OpenSource;
}

export interface BatchResult<B> {
  blob: B;
  /** Undefined if the blob is stored. */
  fault?: unknown;
}

/** Whether a blob goes by BatchUpdateBlobs, together with others. */
export function isSmall({ sizeBytes }: Announced): boolean {
  return sizeBytes <= smallBytes;
}

/** Small blobs for one BatchUpdateBlobs. They are read when it is sent. */
export class BatchUpload<B extends BatchedBlob> {
  #blobs: B[] = [];
  #bytes = 0;
  readonly #settled: BatchResult<B>[] = [];

  get isEmpty(): boolean {
    return this.#blobs.length === 0;
  }

  hasRoomFor({ sizeBytes }: B): boolean {
    return this.#blobs.length < batchBlobs && this.#bytes + sizeBytes <= batchBytes;
  }

  add(blob: B): void {
    this.#blobs.push(blob);
    this.#bytes += blob.sizeBytes;
  }

  /**
   * One attempt. It throws what may pass, of the call or of a blob; the next attempt has what is not settled yet.
   */
  async send(transport: Transport, call: BlobCall): Promise<BatchResult<B>[]> {
    const read = await this.#read();
    if (read.length === 0) return this.#settled;
    const answer = await createClient(ContentAddressableStorage, transport).batchUpdateBlobs(
      {
        requests: read.map(({ blob, data }) => ({
          digest: { hash: hexOf(blob.digest), sizeBytes: BigInt(blob.sizeBytes) },
          data,
        })),
        digestFunction: DigestFunction_Value.SHA256,
      },
      await callOptions(call),
    );
    const faults = new Map(answer.responses.map((response) => [response.digest?.hash, faultOf(response)]));
    let passing: unknown;
    this.#blobs = [];
    for (const { blob } of read) {
      const hex = hexOf(blob.digest);
      const fault = faults.has(hex) ? faults.get(hex) : unanswered(blob);
      if (fault !== undefined && mayPass(fault)) {
        passing = fault;
        this.#blobs.push(blob);
      } else this.#settled.push({ blob, fault });
    }
    if (passing !== undefined) throw passing;
    return this.#settled;
  }

  async #read(): Promise<{ blob: B; data: Uint8Array }[]> {
    const read: { blob: B; data: Uint8Array }[] = [];
    for (const blob of this.#blobs) {
      try {
        read.push({ blob, data: await bytesOf(blob) });
      } catch (fault) {
        this.#settled.push({ blob, fault });
      }
    }
    this.#blobs = read.map(({ blob }) => blob);
    return read;
  }
}

async function bytesOf({ open, sizeBytes, digest }: BatchedBlob): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of open(0)) {
    size += chunk.byteLength;
    if (size > sizeBytes) break;
    chunks.push(chunk);
  }
  if (size !== sizeBytes) {
    const actual = size > sizeBytes ? "more" : String(size);
    throw new BlobError("SIZE_MISMATCH", `expected ${sizeBytes} bytes to upload, the source gave ${actual}`);
  }
  const bytes = Buffer.concat(chunks, size);
  const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (actual === digest) return bytes;
  throw new BlobError(
    "SOURCE_CHANGED",
    `expected bytes with the digest ${digest} to upload, the source gave ${actual}: was it changed meanwhile?`,
  );
}

/** The status of one blob as the error that a call for it alone would have thrown. */
function faultOf({ status }: BatchUpdateBlobsResponse_Response): ConnectError | undefined {
  if (status === undefined || status.code === 0) return undefined;
  const error = new ConnectError(status.message, Code[status.code] === undefined ? Code.Unknown : status.code);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}

function unanswered({ digest }: Announced): ConnectError {
  return new ConnectError(`the gateway said nothing of ${digest}`, Code.Unavailable);
}
