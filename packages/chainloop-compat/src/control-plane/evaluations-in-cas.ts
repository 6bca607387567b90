import { createHash } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { type Client, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";
import { asCaller, type Native } from "./native.ts";

/** Of evaluations that stand in an answer: the client takes 4 MiB in all, and the attestation comes first. */
const largestBytes = 1024 * 1024;
const readTimeoutMs = 5_000;

/** Newer clients put their policy evaluations into the CAS, and a reference to them into the predicate. */
export class EvaluationsInCas {
  readonly #native: Native;
  readonly #bytes: Client<typeof ByteStream>;

  /** @param cas to cas-gateway; calls bring a token of their own */
  constructor(native: Native, cas: Transport) {
    this.#native = native;
    this.#bytes = createClient(ByteStream, cas);
  }

  /**
   * The bytes of evaluations that a predicate refers to. Undefined if they cannot be had: the attestation is shown all the
   * same, with its counts.
   * @param hex digest, SHA-256
   */
  async find(hex: string, call: HandlerContext): Promise<Uint8Array | undefined> {
    try {
      return await this.#read(hex, call);
    } catch {
      call.signal.throwIfAborted();
      return undefined;
    }
  }

  async #read(hex: string, call: HandlerContext): Promise<Buffer> {
    const purpose = { case: "download" as const, value: { digest: `sha256:${hex}` } };
    const { token } = await this.#native.credentials.issueCasToken({ purpose }, asCaller(call));
    const options = { signal: call.signal, timeoutMs: readTimeoutMs, headers: { authorization: `Bearer ${token}` } };
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const { data } of this.#bytes.read({ resourceName: hex }, options)) {
      size += data.length;
      if (size > largestBytes) throw new Error("more evaluations than an answer can hold");
      chunks.push(data);
    }
    const bytes = Buffer.concat(chunks, size);
    if (createHash("sha256").update(bytes).digest("hex") !== hex) throw new Error("other bytes than its digest names");
    return bytes;
  }
}
