import {
  ReadRequestSchema,
  ReadResponseSchema,
  WriteRequestSchema,
  WriteResponseSchema,
} from "@attestry/api/bytestream";
import { ErrorInfoSchema, StatusSchema } from "@attestry/api/errors";
import { formatCasResourceName } from "@attestry/chainloop-compat/cas";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, type ClientWritableStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { TestBlob } from "./harness.ts";

export const paths = {
  write: "/google.bytestream.ByteStream/Write",
  read: "/google.bytestream.ByteStream/Read",
  describe: "/cas.v1.ResourceService/Describe",
} as const;

export interface Refusal {
  /** Of gRPC. */
  code: number;
  reason: string | undefined;
  /** What the command line prints. */
  message: string;
}

const mebibyte = 1024 * 1024;
const asIs = (bytes: Buffer) => bytes;

export function nameOf({ hex }: Pick<TestBlob, "hex">, fileName = "file.bin", sizeBytes?: number): string {
  return formatCasResourceName({ hex, fileName, sizeBytes });
}

/** The messages of an upload as the command line sends them: 1 MiB each, offsets at 0, and a last one without bytes. */
export function framesOf(bytes: Buffer, resourceName: string): MessageInitShape<typeof WriteRequestSchema>[] {
  const count = Math.ceil(bytes.byteLength / mebibyte);
  const frames = Array.from({ length: count }, (_, i) => ({
    resourceName,
    data: bytes.subarray(i * mebibyte, (i + 1) * mebibyte),
  }));
  return [...frames, { resourceName, finishWrite: true }];
}

/** gRPC as the command line speaks it, message by message: with no stub that could mend what it sends. */
export class ChainloopClient {
  readonly #client: Client;

  constructor(port: number) {
    // A connection of its own, as a process has.
    const options = { "grpc.use_local_subchannel_pool": 1 };
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  }

  close(): void {
    this.#client.close();
  }

  /** Sends the messages; then ends its side, unless it is to wait for the answer first. */
  async write(
    token: string,
    messages: readonly MessageInitShape<typeof WriteRequestSchema>[],
    { end = true } = {},
  ): Promise<number> {
    const { answer } = this.send(token, messages.map(encodeFrame), { end });
    return Number(fromBinary(WriteResponseSchema, await answer).committedSize);
  }

  /** Sends messages of Write as they are. */
  send(
    token: string,
    messages: readonly Buffer[],
    { end = true } = {},
  ): { call: ClientWritableStream<Buffer>; answer: Promise<Buffer> } {
    const answer = Promise.withResolvers<Buffer>();
    const call = this.#client.makeClientStreamRequest(
      paths.write,
      asIs,
      asIs,
      bearer(token),
      (error: ServiceError | null, response?: Buffer) =>
        error === null && response !== undefined ? answer.resolve(response) : answer.reject(error),
    );
    // Told by the answer.
    call.on("error", () => undefined);
    answer.promise.catch(() => undefined);
    for (const message of messages) call.write(message);
    if (end) call.end();
    return { call, answer: answer.promise };
  }

  async read(token: string, request: MessageInitShape<typeof ReadRequestSchema>): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    const sent = Buffer.from(toBinary(ReadRequestSchema, create(ReadRequestSchema, request)));
    for (const bytes of await this.stream(token, sent)) chunks.push(fromBinary(ReadResponseSchema, bytes).data);
    return Buffer.concat(chunks);
  }

  /** The answers to a message of Read, as they are. */
  stream(token: string, request: Buffer): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const answers: Buffer[] = [];
      const call = this.#client.makeServerStreamRequest(paths.read, asIs, asIs, request, bearer(token));
      call.on("data", (answer: Buffer) => answers.push(answer));
      call.on("error", reject);
      call.on("end", () => resolve(answers));
    });
  }

  /** The answer to a message of a unary call, as it is. */
  ask(token: string, path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Buffer) =>
        error === null && answer !== undefined ? resolve(answer) : reject(error);
      this.#client.makeUnaryRequest(path, asIs, asIs, request, bearer(token), done);
    });
  }
}

/** What a call was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    (value) => new Error(`was accepted: ${String(value)}`),
    (fault: unknown) => fault as ServiceError,
  );
  if (!("metadata" in error)) throw error;
  const [details] = error.metadata.get("grpc-status-details-bin");
  const infos = Buffer.isBuffer(details)
    ? fromBinary(StatusSchema, details).details.map((detail) => anyUnpack(detail, ErrorInfoSchema))
    : [];
  return { code: error.code, reason: infos.find((info) => info !== undefined)?.reason, message: error.details };
}

export function encodeFrame(message: MessageInitShape<typeof WriteRequestSchema>): Buffer {
  return Buffer.from(toBinary(WriteRequestSchema, create(WriteRequestSchema, message)));
}

function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  metadata.set("chainloop-cli-version", "dev-oss");
  return metadata;
}
