import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "minio";
import { childController, untilAborted } from "../blobs/abortable.ts";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import { verified } from "../blobs/verified.ts";
import { type Backend, backendUnavailable, type OpenBlob, type Range, type StoredBlob } from "./backend.ts";
import { describeEach } from "./describe-each.ts";
import { isAbsent, passes, storeFault } from "./s3-errors.ts";
import { groupByFolder } from "./s3-folders.ts";
import { collect, joined, partSizeFor, parts, singlePutBytes } from "./s3-parts.ts";
import { createStoreAgent, createStoreTransport, type StoreCall, withCall } from "./s3-transport.ts";

export interface S3Options {
  endpoint: URL;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  pathStyle: boolean;
  /** Before every key, with a slash at its end. */
  prefix: string;
  /** Upper bound of one request up to its response's head, in milliseconds; a part's upload is one request. */
  requestTimeoutMs: number;
}

const attempts = 3;
const firstPauseMs = 100;
const abortTimeoutMs = 10_000;
const listingsAtATime = 16;
const mostPages = 4;
const joinedBytes = 512 * 1024;
const contentType = "application/octet-stream";

/**
 * A bucket of MinIO or any S3. A blob of up to 8 MiB is one PUT of verified bytes. A larger one is a multipart upload
 * of its own, completed only when all bytes are proven: until then nothing is visible, and on any fault it is aborted.
 * (The client's own putObject adopts unfinished uploads of others and completes one that is too short.)
 * Memory is bounded by two parts a write.
 */
export class S3Backend implements Backend {
  readonly #client: Client;
  readonly #agent: ReturnType<typeof createStoreAgent>;
  readonly #options: S3Options;

  constructor(options: S3Options) {
    const useTls = options.endpoint.protocol === "https:";
    this.#options = options;
    this.#agent = createStoreAgent(useTls);
    this.#client = new Client({
      endPoint: options.endpoint.hostname.replace(/^\[|\]$/g, ""),
      port: Number(options.endpoint.port) || (useTls ? 443 : 80),
      useSSL: useTls,
      region: options.region,
      accessKey: options.accessKey,
      secretKey: options.secretKey,
      pathStyle: options.pathStyle,
      transport: createStoreTransport(useTls),
      transportAgent: this.#agent,
      retryOptions: { disableRetry: true },
    });
  }

  async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    const found = await this.#find(signal, () => this.#client.statObject(this.#options.bucket, this.#name(key)));
    return found && { sizeBytes: found.size, storedAt: found.lastModified };
  }

  /**
   * Where many keys share a folder, its pages are listed, a thousand objects each: that is hundreds of requests in place
   * of tens of thousands. A folder that goes on after a few pages, and the keys that are alone, are asked for one by one.
   */
  async sizes(keys: readonly string[], signal: AbortSignal): Promise<Map<string, number>> {
    const { crowded, alone } = groupByFolder(keys);
    const listed = await concurrently(crowded, listingsAtATime, async ({ folder, keys: wanted }) => {
      const sizes = await this.#list(folder, signal);
      return sizes === undefined ? { rest: wanted } : { rest: [], sizes };
    });
    const found = await describeEach(this, [...alone, ...listed.flatMap(({ rest }) => rest)], signal);
    for (const { sizes } of listed) for (const [key, size] of sizes ?? []) found.set(key, size);
    return found;
  }

  async read(key: string, { offset, length = 0 }: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    const found = await this.#find(
      signal,
      () =>
        this.#client.getPartialObject(
          this.#options.bucket,
          this.#name(key),
          offset,
          length,
        ) as Promise<IncomingMessage>,
    );
    if (found === undefined) return undefined;
    const close = async () => void found.destroy();
    return { sizeBytes: sizeOf(found), chunks: joined(bodyOf(found, signal), joinedBytes), close };
  }

  async write(key: string, blob: BlobRef, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const bytes = verified(source, blob);
    if (blob.sizeBytes > singlePutBytes) return this.#writeInParts(key, blob, bytes, signal);
    const body = await collect(bytes);
    // The request is signed over the digest that the bytes were just proven to have, so the store checks them too.
    const sha256 = this.#client.enableSHA256 ? blob.hex : "";
    await this.#request(signal, async () => {
      const headers = { "content-length": String(body.byteLength), "content-type": contentType };
      const request = { method: "PUT", bucketName: this.#options.bucket, objectName: this.#name(key), headers };
      const response = await this.#client.makeRequestStreamAsync(request, body, sha256, [200], "");
      response.resume();
    });
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#request(signal, () => this.#client.removeObject(this.#options.bucket, this.#name(key)));
  }

  /** S3 has no move, and to copy and then delete could delete a right write that came between. */
  async setAside(): Promise<boolean> {
    return false;
  }

  close(): void {
    // Without keep-alive the sockets in use close after their response; the free ones close now.
    Object.assign(this.#agent, { keepAlive: false });
    for (const socket of Object.values(this.#agent.freeSockets).flatMap((sockets) => sockets ?? [])) socket.destroy();
  }

  /** The sizes of all objects below a folder; undefined if there are too many of them. */
  async #list(folder: string, signal: AbortSignal): Promise<Map<string, number> | undefined> {
    const sizes = new Map<string, number>();
    let next = "";
    for (let page = 0; page < mostPages; page++) {
      const answer = await this.#request(signal, () =>
        this.#client.listObjectsV2Query(this.#options.bucket, this.#name(folder), next, "", 1_000, ""),
      );
      for (const { name, size } of answer.objects)
        if (name !== undefined) sizes.set(name.slice(this.#options.prefix.length), size ?? 0);
      if (!answer.isTruncated) return sizes;
      next = answer.nextContinuationToken;
    }
    return undefined;
  }

  async #writeInParts(
    key: string,
    blob: BlobRef,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const { bucket } = this.#options;
    const name = this.#name(key);
    const uploadID = await this.#request(signal, () =>
      this.#client.initiateNewMultipartUpload(bucket, name, { "content-type": contentType }),
    );
    const sent: { part: number; etag: string }[] = [];
    let sending: Promise<{ part: number; etag: string }> | undefined;
    try {
      // One part is on its way while the next is filled.
      for await (const part of parts(bytes, partSizeFor(blob.sizeBytes))) {
        if (sending !== undefined) sent.push(await sending);
        const where = { bucketName: bucket, objectName: name, uploadID, partNumber: sent.length + 1 };
        sending = this.#request(signal, () => this.#client.uploadPart({ ...where, headers: {} }, part));
        sending.catch(() => undefined);
      }
      if (sending !== undefined) sent.push(await sending);
      await this.#request(signal, () => this.#client.completeMultipartUpload(bucket, name, uploadID, sent));
    } catch (error) {
      // An abort while a part is on its way may leave the part.
      await sending?.catch(() => undefined);
      const patience = AbortSignal.timeout(abortTimeoutMs);
      await this.#request(patience, () => this.#client.abortMultipartUpload(bucket, name, uploadID)).catch(
        () => undefined,
      );
      throw error;
    }
  }

  #name(key: string): string {
    return this.#options.prefix + key;
  }

  /** Undefined if the object is not there. */
  async #find<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#request(signal, act, { absentIsKnown: true });
    } catch (error) {
      if (error instanceof ObjectAbsent) return undefined;
      throw error;
    }
  }

  /** Sends a request, again if the fault may pass. Its body, if any, must be a buffer. */
  async #request<T>(signal: AbortSignal, act: () => Promise<T>, { absentIsKnown = false } = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const ms = this.#options.requestTimeoutMs;
      const timeout = {
        ms,
        reason: () => backendUnavailable(`the backend's object store did not answer within ${ms} ms`, undefined),
      };
      const { controller, release } = childController(signal, timeout);
      const call: StoreCall = { signal: controller.signal };
      try {
        return await withCall(call, () => untilAborted(act, controller.signal));
      } catch (error) {
        if (absentIsKnown && isAbsent(error, call)) throw new ObjectAbsent();
        if (attempt === attempts || controller.signal.aborted || !passes(error, call)) throw storeFault(error, call);
      } finally {
        release();
      }
      const pause = firstPauseMs * 4 ** (attempt - 1) * (0.5 + Math.random());
      await sleep(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

class ObjectAbsent extends Error {
  override readonly name = "ObjectAbsent";
}

async function* bodyOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  const onAbort = () => response.destroy(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw storeFault(error, { signal });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function sizeOf({ headers }: IncomingMessage): number {
  const total = headers["content-range"]?.split("/")[1];
  return Number(total ?? headers["content-length"]);
}
