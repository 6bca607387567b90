import { ByteStream, type ReadRequest, type WriteRequest } from "@attestry/api/bytestream";
import { BlobService, type BlobServiceDeleteRequest } from "@attestry/api/cas";
import {
  casPrincipal,
  createAuthenticator,
  DomainError,
  type Keyring,
  methodName,
  type ServiceModule,
} from "@attestry/service-kit";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";

/** A gateway in memory, whose faults the tests make. Blobs by `<backend id>:sha256:<hex>`. */
export class FakeGateway {
  readonly blobs = new Map<string, Buffer>();
  readonly calls = { write: 0, read: 0 };
  /** Called before each call is answered; what they throw is the answer. */
  beforeWrite: (key: string) => void | Promise<void> = () => undefined;
  beforeRead: (key: string) => void | Promise<void> = () => undefined;
  beforeDelete: (key: string) => void | Promise<void> = () => undefined;
  readonly #keyring: Keyring;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** Neither reads nor writes. */
  breakDown(): void {
    const fault = () => {
      throw new DomainError("BACKEND_UNAVAILABLE", "the store does not answer", { retryAfterMs: 1_000 });
    };
    this.beforeWrite = fault;
    this.beforeRead = fault;
  }

  recover(): void {
    this.beforeWrite = () => undefined;
    this.beforeRead = () => undefined;
    this.beforeDelete = () => undefined;
  }

  module(): ServiceModule {
    const services = [ByteStream, BlobService];
    const roles = { cas: ["uploader", "downloader", "manager"] } as const;
    return {
      name: "cas-gateway",
      services,
      access: Object.fromEntries(services.flatMap((s) => s.methods.map((method) => [methodName(method), roles]))),
      authenticator: createAuthenticator({ keyring: this.#keyring }),
      routes: (router) => {
        router.rpc(ByteStream.method.write, (requests, call) => this.#write(requests, call));
        router.rpc(ByteStream.method.read, (request, call) => this.#read(request, call));
        router.rpc(BlobService.method.delete, (request, call) => this.#delete(request, call));
        router.rpc(BlobService.method.describe, ({ digest }, call) => {
          const bytes = this.#find(`${backendOf(call)}:${digest}`);
          return { sizeBytes: BigInt(bytes.length), backendName: "store" };
        });
      },
      ready: async () => undefined,
      start: async () => undefined,
      destroy: async () => undefined,
    };
  }

  async #write(requests: AsyncIterable<WriteRequest>, call: HandlerContext) {
    this.calls.write++;
    const chunks: Uint8Array[] = [];
    let name = "";
    let finished = false;
    for await (const request of requests) {
      if (name === "") {
        name = request.resourceName;
        await this.beforeWrite(keyOf(name, call));
      }
      chunks.push(request.data);
      finished = request.finishWrite;
    }
    if (!finished) throw new DomainError("WRITE_UNFINISHED", "the stream ended before finish_write");
    const bytes = Buffer.concat(chunks);
    this.blobs.set(keyOf(name, call), bytes);
    return { committedSize: BigInt(bytes.length) };
  }

  async *#read(request: ReadRequest, call: HandlerContext) {
    this.calls.read++;
    const key = keyOf(request.resourceName, call);
    await this.beforeRead(key);
    yield { data: this.#find(key) };
  }

  /** As the real one: only by a manager, and nothing after `not_after`. */
  async #delete({ digest, notAfter }: BlobServiceDeleteRequest, call: HandlerContext) {
    const key = `${backendOf(call)}:${digest}`;
    if (casPrincipal(call).role !== "manager") throw new DomainError("ROLE_INSUFFICIENT", "only a manager deletes");
    await this.beforeDelete(key);
    if (notAfter === undefined || timestampDate(notAfter).getTime() <= Date.now())
      throw new DomainError("DELETE_TOO_LATE", "not_after has passed");
    this.blobs.delete(key);
    return {};
  }

  #find(key: string): Buffer {
    const bytes = this.blobs.get(key);
    if (bytes !== undefined) return bytes;
    throw new DomainError("BLOB_NOT_FOUND", `no blob ${key}`);
  }
}

function backendOf(call: HandlerContext): string {
  return casPrincipal(call).backends[0]?.id ?? "";
}

function keyOf(resourceName: string, call: HandlerContext): string {
  const hex = /blobs\/([0-9a-f]{64})\//.exec(resourceName)?.[1] ?? "";
  return `${backendOf(call)}:sha256:${hex}`;
}
