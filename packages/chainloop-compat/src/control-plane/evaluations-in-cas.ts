import { createHash } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { type Client, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";
import { asCaller, type Native } from "./native.ts";
import { field, isObject, type JsonObject, objectOf, textOf } from "./predicate/json.ts";

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
   * The evaluations that a predicate refers to, as attestation.v1.PolicyEvaluation in JSON; undefined if it refers to none.
   * Also if they cannot be had: the attestation is shown all the same, with its counts.
   */
  async find(predicate: JsonObject, call: HandlerContext): Promise<JsonObject[] | undefined> {
    const hex = textOf(objectOf(objectOf(field(predicate, "policyEvaluationsRef")).digest).sha256);
    if (!/^[0-9a-f]{64}$/.test(hex)) return undefined;
    try {
      const { evaluations } = objectOf(JSON.parse(await this.#read(hex, call)));
      return Array.isArray(evaluations) ? evaluations.filter(isObject) : undefined;
    } catch {
      call.signal.throwIfAborted();
      return undefined;
    }
  }

  async #read(hex: string, call: HandlerContext): Promise<string> {
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
    return bytes.toString("utf8");
  }
}
