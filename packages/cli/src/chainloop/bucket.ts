import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { AwsV4Signer } from "aws4fetch";
import pRetry from "p-retry";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { BucketAccess } from "./bucket-file.ts";

/** A store that says nothing for so long is not waited for. */
const silentMs = 60_000;
const retries = 6;
/** Where the bucket may not be listed, that an object is not there is denied, too. */
const deniedHead = "access is denied; it takes the rights to get objects and to list the bucket";

export interface ObjectHead {
  sizeBytes: number;
  /** What chainloop was told that the file is called. */
  fileName: string | undefined;
}

interface Asked {
  method: "GET" | "HEAD";
  key: string;
  /** First byte to read. */
  offset?: number;
  signal: AbortSignal;
}

/** A bucket of S3 that somebody else fills: reads only. */
export class SourceBucket {
  /** In words, without who reads it. */
  readonly place: string;
  readonly #access: BucketAccess;
  readonly #agent: http.Agent;

  constructor(access: BucketAccess) {
    this.#access = access;
    this.place = `the bucket ${access.bucket} at ${access.endpoint.host}`;
    const options = { keepAlive: true, timeout: silentMs };
    this.#agent =
      access.endpoint.protocol === "https:"
        ? new https.Agent({ ...options, ...(access.ca !== undefined && { ca: access.ca }) })
        : new http.Agent(options);
  }

  /** Throws SOURCE_REFUSED or SOURCE_UNAVAILABLE if nothing can be read. */
  async check(signal: AbortSignal): Promise<void> {
    // Chainloop writes it to try a bucket out; that it is not there is an answer, too. A HEAD would not say why.
    const answer = await this.#answer({ method: "GET", key: "healthcheck", signal });
    answer?.destroy();
  }

  /** Undefined if there is no such object. Throws SOURCE_REFUSED, SOURCE_UNAVAILABLE. */
  async head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined> {
    const answer = await this.#answer({ method: "HEAD", key, signal });
    answer?.resume();
    return answer && { sizeBytes: Number(answer.headers["content-length"]), fileName: fileNameOf(answer.headers) };
  }

  /** From an offset to the end, going on where it broke off. Throws as `head`, and SOURCE_MISSING if there is no such object. */
  async *read(key: string, from: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = from, vain = 0; ; ) {
      const answer = await this.#answer({ method: "GET", key, offset, signal });
      if (answer === undefined) throw new CommandError("SOURCE_MISSING", `${this.place} has no ${key}`);
      try {
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          offset += chunk.byteLength;
          vain = 0;
          yield chunk;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (vain++ >= retries) throw this.#unavailable(error as Error);
      } finally {
        answer.destroy();
      }
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The answer with its body still to come; undefined if there is no such object. */
  async #answer(asked: Asked): Promise<http.IncomingMessage | undefined> {
    try {
      return await pRetry(() => this.#attempt(asked), {
        retries,
        minTimeout: 200,
        maxTimeout: 5_000,
        randomize: true,
        signal: asked.signal,
        shouldRetry: ({ error }) => !(error instanceof CommandError),
      });
    } catch (error) {
      asked.signal.throwIfAborted();
      throw error instanceof CommandError ? error : this.#unavailable(error as Error);
    }
  }

  async #attempt(asked: Asked): Promise<http.IncomingMessage | undefined> {
    const answer = await this.#send(asked);
    const status = answer.statusCode ?? 0;
    if (status === (asked.offset ? 206 : 200)) return answer;
    const body = await text(answer);
    const code = /<Code>([^<]{1,100})</.exec(body)?.[1];
    if (status === 404 && code !== "NoSuchBucket") return undefined;
    // An object that ends where the reading is to go on.
    if (status === 416) return answer;
    const said = code ?? (status === 403 ? deniedHead : `HTTP status ${status}`);
    if (status === 429 || status >= 500) throw new Error(said);
    throw new CommandError("SOURCE_REFUSED", `cannot read ${this.place}: ${said}`);
  }

  async #send({ method, key, offset = 0, signal }: Asked): Promise<http.IncomingMessage> {
    const { region, accessKey: accessKeyId, secretKey: secretAccessKey } = this.#access;
    const signer = new AwsV4Signer({
      ...{ method, url: this.#url(key), service: "s3", region, accessKeyId, secretAccessKey },
      headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
    });
    const { url, headers } = await signer.sign();
    const { request: send } = url.protocol === "https:" ? https : http;
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = send(url, { method, headers: Object.fromEntries(headers), agent: this.#agent, signal }, resolve);
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error(`nothing came for ${silentMs / 1_000} s`)));
    request.end();
    return promise;
  }

  #url(key: string): string {
    const { endpoint, bucket, prefix, pathStyle } = this.#access;
    return pathStyle
      ? `${endpoint.origin}/${bucket}/${prefix}${key}`
      : `${endpoint.protocol}//${bucket}.${endpoint.host}/${prefix}${key}`;
  }

  #unavailable(cause: Error): CommandError {
    const first = cause instanceof AggregateError ? (cause.errors as Error[])[0] : cause;
    const message = `cannot read ${this.place}: ${first?.message || "the connection failed"}`;
    return new CommandError("SOURCE_UNAVAILABLE", message, { cause, exitCode: exitCodes.unavailable });
  }
}

/** Chainloop's metadata `Filename`; undefined as well if the name is not ASCII, which each store writes in its own way. */
function fileNameOf(headers: http.IncomingHttpHeaders): string | undefined {
  const name = headers["x-amz-meta-filename"];
  // RFC 2047, as S3 has it, and bytes above ASCII, as MinIO does.
  return typeof name !== "string" || /^=\?|[^ -~]/.test(name) ? undefined : name;
}
