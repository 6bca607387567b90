import type { IncomingHttpHeaders } from "node:http";
import { text } from "node:stream/consumers";
import { Client } from "minio";
import type { Range, StoredBlob } from "./backend.ts";
import { refuseError } from "./s3-answers.ts";
import type { StoreBody } from "./s3-body.ts";
import { checksumHeader, checksumOf } from "./s3-checksum.ts";
import { StoreFault } from "./s3-errors.ts";
import { type Features, KnownFeatures } from "./s3-features.ts";
import { headOf, type ObjectHead } from "./s3-head.ts";
import { encryptionHeaders, type S3Options } from "./s3-options.ts";
import { Patience, type RequestOptions } from "./s3-patience.ts";
import { Signer } from "./s3-signature.ts";
import { StoreTransport } from "./s3-transport.ts";

export interface ListedObject extends StoredBlob {
  key: string;
}

export interface PutOptions {
  /** Lower-case hex of the body's SHA-256, which the request is signed over, so that the store proves the bytes. */
  sha256?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** `absent`: only if nothing is there. An entity tag: only in the place of that. */
  onlyIf?: "absent" | { etag: string } | undefined;
  probe?: boolean | undefined;
}

interface Sent {
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Undefined: the bucket. */
  key?: string | undefined;
  query?: string;
  headers?: Record<string, string>;
  body?: Buffer;
}

const contentType = "application/octet-stream";
const pageKeys = 1_000;
const nothing = Buffer.alloc(0);

/**
 * The requests of the S3 API that a backend needs, each sent again within reason. Keys are below the prefix. Addresses and
 * XML are the minio client's. (Its putObject is not used: it adopts unfinished uploads of others, and
 * completes one that is too short.)
 */
export class S3Requests {
  readonly features = new KnownFeatures();
  readonly #options: S3Options;
  readonly #transport: StoreTransport;
  readonly #patience: Patience;
  readonly #client: Client;
  #underWay = 0;
  #isClosed = false;

  constructor(options: S3Options) {
    this.#options = options;
    this.#transport = new StoreTransport(new Signer(options), options.ca);
    const { endpoint, region, pathStyle, requestTimeoutMs } = options;
    const host = endpoint.hostname.replace(/^\[|\]$/g, "");
    const useSSL = endpoint.protocol === "https:";
    const port = Number(endpoint.port) || (useSSL ? 443 : 80);
    this.#patience = new Patience({ requestTimeoutMs, host });
    this.#client = new Client({
      ...{ endPoint: host, port, useSSL, region, pathStyle, transport: this.#transport },
      retryOptions: { disableRetry: true },
    });
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined> {
    const answer = await this.#find(signal, () => this.#send({ method: "HEAD", key }));
    if (answer === undefined) return undefined;
    return headOf(answer.headers);
  }

  /** The body must be read or destroyed. Undefined if the object is not there; `range unmet` if it has no such bytes. */
  async open(
    key: string,
    { offset, length }: Range,
    signal: AbortSignal,
    probe = false,
  ): Promise<StoreBody | "range unmet" | undefined> {
    const headers = offset === 0 && length === undefined ? {} : { range: rangeHeader(offset, length) };
    const options = { streaming: true, probe };
    const opening = this.#find(signal, () => this.#answer({ method: "GET", key, headers }), options);
    const body = await opening.catch((fault: unknown) => {
      if (fault instanceof StoreFault && fault.isRangeUnmet) return "range unmet" as const;
      throw this.#patience.told(fault);
    });
    return body as unknown as StoreBody | "range unmet" | undefined;
  }

  /** False if what `onlyIf` asks for is not so; without it, and where the store knows no `absent`, always true. */
  async put(key: string, body: Buffer, options: PutOptions, signal: AbortSignal): Promise<boolean> {
    const { onlyIf, probe, sha256 } = options;
    const send = ({ condition, checksum }: Features) =>
      this.#run(
        signal,
        () => {
          const headers = {
            "content-type": contentType,
            ...encryptionHeaders(this.#options),
            ...options.headers,
            ...(checksum && checksumHeader(checksumOf(body))),
            ...(condition && { "if-none-match": "*" }),
            ...(typeof onlyIf === "object" && { "if-match": onlyIf.etag }),
          };
          return this.#send({ method: "PUT", key, headers, body });
        },
        { probe, payload: sha256 },
      );
    try {
      await this.features.using({ condition: onlyIf === "absent", checksum: true }, send);
      return true;
    } catch (fault) {
      if (fault instanceof StoreFault && isUnmet(fault, onlyIf)) return false;
      throw this.#patience.told(fault);
    }
  }

  /** Copies on the server, within this organization's part; up to 5 GiB (S3 API, CopyObject). False if it is not there any more. */
  async copy(from: string, to: string, etag: string, signal: AbortSignal): Promise<boolean> {
    const { bucket, prefix } = this.#options;
    const headers = {
      ...encryptionHeaders(this.#options),
      "x-amz-copy-source": `/${bucket}/${prefix}${from}`,
      "x-amz-copy-source-if-match": etag,
    };
    try {
      await this.#run(signal, async () => {
        const { body } = await this.#text({ method: "PUT", key: to, headers });
        refuseError(body, "CopyObjectResult");
      });
      return true;
    } catch (fault) {
      if (fault instanceof StoreFault && isUnmet(fault, { etag })) return false;
      throw this.#patience.told(fault);
    }
  }

  /** Deleting what is not there is no error. */
  async remove(key: string, signal: AbortSignal, options?: RequestOptions): Promise<void> {
    await this.#find(signal, () => this.#send({ method: "DELETE", key }), options);
  }

  /** The next objects below a folder after a key, in the order of their keys, and whether there are more. */
  async page(folder: string, after: string, signal: AbortSignal): Promise<{ objects: ListedObject[]; more: boolean }> {
    const { bucket, prefix } = this.#options;
    const startAfter = after === "" ? "" : prefix + after;
    const { objects, isTruncated } = await this.#told(signal, () =>
      this.#client.listObjectsV2Query(bucket, prefix + folder, "", "", pageKeys, startAfter),
    );
    const listed = objects.flatMap(({ name, size, lastModified }) =>
      name === undefined || lastModified === undefined
        ? []
        : [{ key: name.slice(prefix.length), sizeBytes: Number(size), storedAt: lastModified }],
    );
    return { objects: listed, more: isTruncated };
  }

  /** Begins a multipart upload, with a CRC-32 of each part if the store knows it; not `isAlone` if an answer may be lost. */
  async createUpload(key: string, signal: AbortSignal): Promise<{ id: string; checksum: boolean; isAlone: boolean }> {
    let attempts = 0;
    const send = ({ checksum }: Features) =>
      this.#run(signal, async () => {
        attempts++;
        const headers = {
          "content-type": contentType,
          ...encryptionHeaders(this.#options),
          ...(checksum && { "x-amz-checksum-algorithm": "CRC32" }),
        };
        const name = this.#options.prefix + key;
        const id = await this.#client.initiateNewMultipartUpload(this.#options.bucket, name, headers);
        return { id, checksum, isAlone: attempts === 1 };
      });
    return this.features.using({ condition: false, checksum: true }, send).catch((fault: unknown) => {
      throw this.#patience.told(fault);
    });
  }

  /**
   * Requests of what belongs to an object or the bucket: parts of uploads, versions, Object Lock. Throws StoreFault, which
   * `told` makes what a caller is told.
   */
  subresource(
    sent: Sent & { query: string },
    signal: AbortSignal,
    { check, ...options }: RequestOptions & { check?: (answer: string) => void } = {},
  ): Promise<{ headers: IncomingHttpHeaders; body: string }> {
    return this.#run(
      signal,
      async () => {
        const answer = await this.#text(sent);
        check?.(answer.body);
        return answer;
      },
      options,
    );
  }

  /** The ids of the unfinished uploads of exactly this key. */
  async unfinished(key: string, signal: AbortSignal): Promise<string[]> {
    const name = this.#options.prefix + key;
    const { uploads } = await this.#told(signal, () =>
      this.#client.listIncompleteUploadsQuery(this.#options.bucket, name, "", "", ""),
    );
    return uploads.filter((upload) => upload.key === name).map(({ uploadId }) => uploadId);
  }

  /** The bytes of an opened body. Throws the signal's reason, and BACKEND_UNAVAILABLE if it ends before its time. */
  async *chunks(body: StoreBody, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const onAbort = () => body.destroy(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      yield* body.chunks();
    } catch (error) {
      throw this.#patience.told(new StoreFault(error, { signal }));
    } finally {
      signal.removeEventListener("abort", onAbort);
      body.destroy(new Error("no longer read"));
    }
  }

  /** See StoreClock. */
  now(): Date | undefined {
    return this.#transport.clock.now();
  }

  told(fault: unknown): unknown {
    return this.#patience.told(fault);
  }

  /** Lets what is under way end, and keeps no connection after it. */
  close(): void {
    this.#isClosed = true;
    if (this.#underWay === 0) this.#transport.close();
  }

  /** Undefined if the object is not there. */
  async #find<T>(signal: AbortSignal, act: () => Promise<T>, options?: RequestOptions): Promise<T | undefined> {
    try {
      return await this.#run(signal, act, options);
    } catch (fault) {
      if (fault instanceof StoreFault && fault.isAbsent) return undefined;
      // The one who opens looks at the range.
      throw options?.streaming === true ? fault : this.#patience.told(fault);
    }
  }

  #told<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    return this.#run(signal, act).catch((fault: unknown) => {
      throw this.#patience.told(fault);
    });
  }

  async #run<T>(signal: AbortSignal, act: () => Promise<T>, options?: RequestOptions): Promise<T> {
    this.#underWay++;
    try {
      return await this.#patience.run(signal, act, options);
    } finally {
      this.#underWay--;
      if (this.#isClosed && this.#underWay === 0) this.#transport.close();
    }
  }

  /** Sends, and lets go of the answer's body. */
  async #send(sent: Sent): Promise<{ headers: IncomingHttpHeaders }> {
    const { headers } = await this.#text(sent);
    return { headers };
  }

  async #text(sent: Sent): Promise<{ headers: IncomingHttpHeaders; body: string }> {
    const answer = await this.#answer(sent);
    return { headers: answer.headers, body: await text(answer) };
  }

  #answer({ method, key, query = "", headers = {}, body = nothing }: Sent) {
    const length = method === "PUT" || method === "POST" ? { "content-length": String(body.byteLength) } : {};
    const objectName = key === undefined ? "" : this.#options.prefix + key;
    const request = { method, bucketName: this.#options.bucket, objectName, query, headers: { ...headers, ...length } };
    return this.#client.makeRequestStreamAsync(request, body, "", [200, 204, 206], "");
  }
}

function rangeHeader(offset: number, length: number | undefined): string {
  return `bytes=${offset}-${length === undefined ? "" : offset + length - 1}`;
}

/** An object of a certain entity tag is not there also if there is none. */
function isUnmet(fault: StoreFault, onlyIf: PutOptions["onlyIf"]): boolean {
  return (onlyIf !== undefined && fault.isConditionUnmet) || (typeof onlyIf === "object" && fault.isAbsent);
}
