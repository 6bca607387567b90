import { createHash } from "node:crypto";
import { ByteStream, type WriteRequest } from "@attestry/api/bytestream";
import { BlobService } from "@attestry/api/cas";
import { ContentAddressableStorage } from "@attestry/api/reapi";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { refusal } from "./fake-server.ts";

/** A store of the Remote Execution API that keeps what came of broken uploads, and goes on nowhere else. */
export class StrictStore {
  readonly blobs = new Map<string, Buffer>();
  /** What is kept of uploads, by resource name. */
  readonly partial = new Map<string, Buffer>();
  /** write_offset of the first message of each Write, in order. */
  readonly writes: number[] = [];
  readonly reads: { offset: number; limit: number }[] = [];
  readonly tokens: (string | null)[] = [];
  questions = 0;
  batches = 0;
  /** Called before each call; what it throws is the answer. */
  before: (call: "write" | "status" | "read" | "batch" | "missing") => void = () => undefined;

  readonly routes = (router: ConnectRouter): void => {
    router.service(ByteStream, {
      write: (messages, { requestHeader }) => {
        this.tokens.push(requestHeader.get("authorization"));
        return this.#write(messages);
      },
      queryWriteStatus: ({ resourceName }) => {
        this.questions++;
        this.before("status");
        const { hex, size } = nameOf(resourceName);
        if (this.blobs.has(hex)) return { committedSize: BigInt(size), complete: true };
        return { committedSize: BigInt(this.partial.get(resourceName)?.byteLength ?? 0), complete: false };
      },
      read: (request) => this.#read(request),
    });
    router.service(ContentAddressableStorage, {
      findMissingBlobs: ({ blobDigests }) => {
        this.before("missing");
        return { missingBlobDigests: blobDigests.filter(({ hash }) => !this.blobs.has(hash)) };
      },
      batchUpdateBlobs: ({ requests }) => {
        this.batches++;
        this.before("batch");
        return {
          responses: requests.map(({ digest, data }) => {
            if (sha256(data) !== digest?.hash)
              return { ...(digest && { digest }), status: { code: 3, message: "wrong" } };
            this.blobs.set(digest.hash, Buffer.from(data));
            return { digest, status: { code: 0 } };
          }),
        };
      },
    });
    router.service(BlobService, {
      describe: ({ digest }) => {
        const bytes = this.blobs.get(digest.slice("sha256:".length));
        if (bytes === undefined) throw refusal(Code.NotFound, "BLOB_NOT_FOUND", "no such blob");
        return { sizeBytes: BigInt(bytes.byteLength), backendName: "strict" };
      },
    });
  };

  async #write(messages: AsyncIterable<WriteRequest>): Promise<{ committedSize: bigint }> {
    let name: string | undefined;
    let bytes: Buffer = Buffer.alloc(0);
    const chunks: Uint8Array[] = [];
    let received = 0;
    let finished = false;
    try {
      for await (const message of messages) {
        if (name === undefined) {
          name = message.resourceName;
          this.writes.push(Number(message.writeOffset));
          this.before("write");
          if (message.writeOffset > 0n) bytes = this.partial.get(name) ?? bytes;
          received = bytes.byteLength;
        }
        if (Number(message.writeOffset) !== received)
          throw refusal(Code.InvalidArgument, "WRITE_OFFSET_INVALID", `expected write_offset ${received}`);
        chunks.push(message.data);
        received += message.data.byteLength;
        finished = message.finishWrite;
      }
    } finally {
      if (name !== undefined) this.partial.set(name, Buffer.concat([bytes, ...chunks]));
    }
    if (name === undefined || !finished) throw refusal(Code.InvalidArgument, "WRITE_UNFINISHED", "no finish_write");
    const whole = this.partial.get(name) ?? bytes;
    this.partial.delete(name);
    const { hex, size } = nameOf(name);
    if (whole.byteLength !== size) throw refusal(Code.InvalidArgument, "SIZE_MISMATCH", "another size");
    if (sha256(whole) !== hex) throw refusal(Code.InvalidArgument, "DIGEST_MISMATCH", "another digest");
    this.blobs.set(hex, whole);
    return { committedSize: BigInt(size) };
  }

  async *#read(request: { resourceName: string; readOffset: bigint; readLimit: bigint }) {
    const { hex } = nameOf(request.resourceName);
    const [offset, limit] = [Number(request.readOffset), Number(request.readLimit)];
    this.reads.push({ offset, limit });
    this.before("read");
    const bytes = this.blobs.get(hex);
    if (bytes === undefined) throw refusal(Code.NotFound, "BLOB_NOT_FOUND", "no such blob");
    if (offset > bytes.byteLength) throw refusal(Code.OutOfRange, "READ_OFFSET_OUT_OF_RANGE", "behind the end");
    const end = limit === 0 ? bytes.byteLength : Math.min(bytes.byteLength, offset + limit);
    for (let at = offset; at < end; at += 65_536) yield { data: bytes.subarray(at, Math.min(end, at + 65_536)) };
  }
}

export function grpcTransport(url: string) {
  return createGrpcTransport({ baseUrl: url });
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function nameOf(resourceName: string): { hex: string; size: number } {
  const match = /blobs\/([0-9a-f]{64})\/(\d+)$/.exec(resourceName);
  if (match === null) throw refusal(Code.InvalidArgument, "RESOURCE_NAME_INVALID", resourceName);
  return { hex: match[1] ?? "", size: Number(match[2]) };
}
