import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream, type WriteRequestSchema } from "@attestry/api/bytestream";
import { reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import type { TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";

export type Message = MessageInitShape<typeof WriteRequestSchema>;

export const mebibyte = 1024 * 1024;

/** One upload of a blob, as a client of the API makes it, message for message. */
export class ClientUpload {
  readonly blob: TestBlob;
  readonly name: string;
  readonly #headers: { authorization: string };

  constructor(blob: TestBlob, token: string, name = `uploads/${randomUUID()}/blobs/${blob.hex}/${blob.sizeBytes}`) {
    this.blob = blob;
    this.name = name;
    this.#headers = { authorization: `Bearer ${token}` };
  }

  /** The bytes from one offset to another, in messages of 1 MiB; with finish_write only at the end of the blob. */
  async *messages(from = 0, to = this.blob.sizeBytes, bytes: Uint8Array = this.blob.bytes): AsyncGenerator<Message> {
    let offset = from;
    do {
      const end = Math.min(offset + mebibyte, to);
      const finishWrite = end === this.blob.sizeBytes;
      const resourceName = offset === from ? this.name : "";
      yield { resourceName, writeOffset: BigInt(offset), data: bytes.subarray(offset, end), finishWrite };
      offset = end;
    } while (offset < to);
  }

  /** The bytes up to an offset, and then nothing for ever. */
  async *thenSilent(to: number): AsyncGenerator<Message> {
    yield* this.messages(0, to);
    await sleep(20_000, undefined, { ref: false });
  }

  async write(transport: Transport, messages: AsyncIterable<Message> = this.messages(), signal?: AbortSignal) {
    const options = { headers: this.#headers, ...(signal && { signal }) };
    const { committedSize } = await createClient(ByteStream, transport).write(messages, options);
    return Number(committedSize);
  }

  async status(transport: Transport): Promise<{ committed: number; complete: boolean }> {
    const client = createClient(ByteStream, transport);
    const answer = await client.queryWriteStatus({ resourceName: this.name }, { headers: this.#headers });
    return { committed: Number(answer.committedSize), complete: answer.complete };
  }

  /** Where it goes on, once more than a number of bytes are kept; at the latest after 10 s. */
  async committedBeyond(transport: Transport, bytes: number): Promise<number> {
    const deadline = Date.now() + 10_000;
    let { committed } = await this.status(transport);
    while (committed <= bytes && Date.now() < deadline) {
      await sleep(50);
      ({ committed } = await this.status(transport));
    }
    return committed;
  }

  /** What the store holds of it besides the blob itself. */
  async leftovers(store: Store): Promise<string[]> {
    const names = await store.content();
    const isPartial = (name: string) => name.startsWith("unfinished") || name.includes("/uploads/");
    return names.filter((name) => name.includes(this.blob.hex) && isPartial(name));
  }
}

export async function readAll(transport: Transport, resourceName: string, token: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const headers = { authorization: `Bearer ${token}` };
  for await (const { data } of createClient(ByteStream, transport).read({ resourceName }, { headers }))
    chunks.push(data);
  return Buffer.concat(chunks);
}

export async function refusal(promise: Promise<unknown>): Promise<{ code: Code; reason: string | undefined }> {
  const error = ConnectError.from(
    await promise.then(
      (value) => new Error(`was accepted: ${String(value)}`),
      (fault: unknown) => fault,
    ),
  );
  return { code: error.code, reason: reasonOf(error) };
}

/** What readers could find: all but what is kept of uploads that broke off, under whatever name. */
export async function visible(store: Store): Promise<string[]> {
  const isUpload = (name: string) => name.startsWith("unfinished") || /\/(uploads|data)\//.test(name);
  return (await store.content()).filter((name) => !isUpload(name));
}

export const invalid = (reason: string) => ({ code: Code.InvalidArgument, reason });

export function keyOf({ hex }: TestBlob, organization = "acme", space = "blobs"): string {
  return `${organization}/${space}/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`;
}
