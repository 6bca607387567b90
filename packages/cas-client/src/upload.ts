import { randomUUID } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";
import { mayPass, reasonOf } from "./faults.ts";
import { type Attempt, Deadline, type Persistence, persist } from "./persist.ts";
import { type Announced, messageBytes, type OpenSource, UploadSource } from "./upload-source.ts";

interface UploadSettings extends BlobCall, Announced, Persistence {
  /**
   * A UUID, the same each time that this upload is tried, also by another process (`uploadIdOf`): then it goes on
   * where the last one broke off. Default: a random one.
   */
  uploadId?: string | undefined;
  /**
   * What the file is called, as `artifact download` of chainloop writes it: Attestry's gateway keeps it with a blob that it has no
   * name of yet; others, and older ones, pass it over.
   */
  fileName?: string | undefined;
  /** Called with the number of bytes handed over so far, after each message; less than before after a fault. */
  onProgress?: ((bytes: number) => void) | undefined;
}

/** `bytes` at once or, once only, as they come; or `open`, which can give them again from any offset. */
export type UploadOptions = UploadSettings &
  ({ bytes: Uint8Array | AsyncIterable<Uint8Array>; open?: undefined } | { open: OpenSource; bytes?: undefined });

/** From this size on, what an earlier process may have sent is worth a question. */
const askFirstBytes = 8 * 1024 * 1024;

/**
 * Uploads a blob in messages of at most 1 MiB. Resolves when the gateway has it for good, which may be before
 * all bytes went out: a blob that is there already is answered at once. An upload of the same blob is safe to repeat.
 *
 * After a fault that may pass it goes on where the gateway has it (QueryWriteStatus), as long as `timeoutMs` and
 * `stallMs` allow and unless `bytes` can be iterated only once.
 *
 * Throws the gateway's ConnectError, what the source or `token` throws, or BlobError SIZE_MISMATCH or SOURCE_CHANGED
 * when the source gives something else than announced; in each case nothing is visible at the gateway.
 */
export async function uploadBlob(transport: Transport, options: UploadOptions): Promise<{ committedSize: number }> {
  const upload = new Upload(transport, options);
  const open = openerOf(options);
  if (open === undefined) return upload.once(options.bytes as AsyncIterable<Uint8Array>);
  return persist({ ...options, deadline: new Deadline(options.timeoutMs), progress: () => upload.progress }, (call) =>
    upload.attempt(open, call),
  );
}

function openerOf({ bytes, open }: UploadOptions): OpenSource | undefined {
  if (open !== undefined) return open;
  if (!(bytes instanceof Uint8Array)) return undefined;
  return async function* rest(offset) {
    yield bytes.subarray(offset);
  };
}

/** One upload with all of its attempts. */
class Upload {
  readonly #client: Client<typeof ByteStream>;
  readonly #options: UploadOptions;
  readonly #hex: string;
  readonly #source: UploadSource;
  #uploadId: string;
  #ask: boolean;
  /** Beginning anew and asking again help once; after that the fault is another one. */
  #askedAgain = false;
  #begunAnew = false;
  #committed = 0;

  constructor(transport: Transport, options: UploadOptions) {
    this.#client = createClient(ByteStream, transport);
    this.#options = options;
    this.#hex = hexOf(options.digest);
    this.#source = new UploadSource(options, options.onProgress);
    this.#uploadId = options.uploadId ?? randomUUID();
    this.#ask = options.uploadId !== undefined && options.sizeBytes > askFirstBytes;
  }

  /** Grows as long as an attempt gets further than those before. */
  get progress(): number {
    return this.#committed + this.#source.handedOver;
  }

  async once(bytes: AsyncIterable<Uint8Array>): Promise<{ committedSize: number }> {
    return this.#write(() => bytes, 0, this.#options);
  }

  async attempt(open: OpenSource, call: Attempt): Promise<{ committedSize: number }> {
    const { sizeBytes } = this.#options;
    const offset = this.#ask ? await this.#committedSize(call) : 0;
    if (offset === "complete") return { committedSize: sizeBytes };
    // A blob of one message is sent sooner than asked for.
    this.#ask = sizeBytes > messageBytes;
    try {
      return await this.#write(open, offset, call);
    } catch (error) {
      if (!this.#canGoOnAfter(error, offset)) throw error;
      return this.attempt(open, call);
    }
  }

  /** What the gateway keeps of this upload, or that it has the whole blob. */
  async #committedSize(call: Attempt): Promise<number | "complete"> {
    const options = await callOptions({ token: this.#options.token, ...call });
    try {
      const status = await this.#client.queryWriteStatus({ resourceName: this.#resourceName() }, options);
      if (status.complete) return "complete";
      const committed = Number(status.committedSize);
      if (committed > this.#options.sizeBytes) return 0;
      this.#committed = Math.max(this.#committed, committed);
      return committed;
    } catch (error) {
      // Other servers of this API may know nothing of an upload, or of the question.
      if (error instanceof ConnectError && [Code.NotFound, Code.Unimplemented].includes(error.code)) return 0;
      throw error;
    }
  }

  async #write(open: OpenSource, offset: number, { signal, timeoutMs }: Pick<BlobCall, "signal" | "timeoutMs">) {
    const options = await callOptions({ token: this.#options.token, signal, timeoutMs });
    const { sizeBytes } = this.#options;
    let failure: unknown;
    const onFailure = (error: unknown) => {
      failure ??= error;
    };
    const write = { resourceName: this.#resourceName(), offset, onFailure };
    const requests = this.#source.requests(write, open(offset));
    try {
      const { committedSize } = await this.#client.write(requests, options);
      // Servers of this API may answer early, to be sent the rest.
      if (committedSize !== BigInt(sizeBytes)) throw incomplete(committedSize, sizeBytes);
      return { committedSize: sizeBytes };
    } catch (error) {
      throw failure ?? error;
    } finally {
      // Not every transport ends a stream that it needs no more. A source that hangs is not waited for.
      requests.return().catch(() => undefined);
    }
  }

  /** Whether a refusal is one of the place to go on at, so that another place may do. */
  #canGoOnAfter(error: unknown, offset: number): boolean {
    if (offset === 0 || !(error instanceof ConnectError) || mayPass(error)) return false;
    const reason = reasonOf(error);
    if (reason === "WRITE_OFFSET_INVALID" && !this.#askedAgain) {
      this.#askedAgain = true;
      return true;
    }
    // What was kept is of no use: another source may have sent it under this id.
    const useless = ["WRITE_OFFSET_INVALID", "DIGEST_MISMATCH", "SIZE_MISMATCH"].includes(reason ?? "");
    if (!useless || this.#begunAnew) return false;
    this.#begunAnew = true;
    this.#uploadId = randomUUID();
    this.#ask = false;
    return true;
  }

  #resourceName(): string {
    const { sizeBytes, fileName } = this.#options;
    // Metadata, of which the Remote Execution API leaves to the server what it is.
    const metadata = fileName === undefined ? "" : `/attestry-name/${Buffer.from(fileName).toString("base64url")}`;
    return `uploads/${this.#uploadId}/blobs/${this.#hex}/${sizeBytes}${metadata}`;
  }
}

function incomplete(committedSize: bigint, sizeBytes: number): ConnectError {
  return new ConnectError(`the gateway has taken ${committedSize} of ${sizeBytes} bytes`, Code.Unavailable);
}
