import { setTimeout as sleep } from "node:timers/promises";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { methodPath } from "../auth/access.ts";
import { peerCredentials } from "../tls/peer-certificates.ts";
import type { WatchedCertificates } from "../tls/watched-certificates.ts";

const windowBytes = 8 * 1024 * 1024;
const largestMessageBytes = 64 * 1024 * 1024;
const secondTryAfterMs = 50;

/**
 * A Connect transport over `@grpc/grpc-js`, which keeps a session per address of a name, goes round robin over the
 * healthy ones, and reconnects with back-off. Every call has a deadline, since a peer that accepts and says nothing
 * would hold one without for ever.
 */
export class GrpcTransport implements Transport {
  readonly #client: Client;

  /**
   * @param address http://HOST:PORT of the peer, or https; the name may stand for several replicas
   * @param certificates of calls over https; undefined: the machine's authorities, and no certificate to show
   */
  constructor(address: string, certificates?: WatchedCertificates) {
    const { hostname, port, protocol } = new URL(address);
    this.#client = new Client(
      `dns:///${hostname}:${port || (protocol === "https:" ? 443 : 80)}`,
      protocol === "https:" ? peerCredentials(certificates) : credentials.createInsecure(),
      {
        "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2_000,
        "grpc.dns_min_time_between_resolutions_ms": 10_000,
        // Longer than a server's drain, or the ping of a draining session would end its last calls.
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 5_000,
        "grpc.max_receive_message_length": largestMessageBytes,
        "grpc.max_send_message_length": largestMessageBytes,
        "grpc-node.flow_control_window": windowBytes,
      },
    );
  }

  close(): void {
    this.#client.close();
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const deadline = deadlineOf(timeoutMs);
    const message = create(method.input, input);
    const call = () => this.#unaryOnce(method, signal, deadline, header, message);
    try {
      return await call();
    } catch (error) {
      if (!mayTryAgain(method, error) || Date.now() + secondTryAfterMs >= deadline) throw error;
      await sleep(secondTryAfterMs);
      return call();
    }
  }

  #unaryOnce<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    deadline: number,
    header: HeadersInit | undefined,
    message: MessageShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        methodPath(method),
        serializer(method.input),
        deserializer(method.output),
        message,
        metadataOf(header),
        { deadline },
        (error, output) => {
          signal?.removeEventListener("abort", cancel);
          if (error !== null || output === undefined) reject(connectErrorOf(error));
          else
            resolve({
              stream: false,
              service: method.parent,
              method,
              message: output,
              header: new Headers(),
              trailer: new Headers(),
            });
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    signal?.throwIfAborted();
    const call = this.#client.makeBidiStreamRequest(
      methodPath(method),
      serializer(method.input),
      deserializer(method.output),
      metadataOf(header),
      { deadline: deadlineOf(timeoutMs) },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    call.once("close", () => signal?.removeEventListener("abort", cancel));
    const ending = endingOf(call);
    void send(call, method.input, input, ending);
    return {
      stream: true,
      service: method.parent,
      method,
      header: new Headers(),
      trailer: new Headers(),
      message: receive(call, ending),
    };
  }
}

interface Ending {
  /** Set once the peer has answered for good. */
  status: StatusObject | undefined;
  /** What the input threw. */
  inputFault: unknown;
  /** Resolves then; never rejects. */
  readonly reached: Promise<void>;
}

/**
 * Listens from the start: the call tells of its end by events that it does not repeat, and one that nobody hears
 * would end the process (`error`) or be taken for success.
 */
function endingOf<I, O>(call: ClientDuplexStream<I, O>): Ending {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const ending: Ending = { status: undefined, inputFault: undefined, reached };
  call.on("error", () => undefined);
  call.once("status", (status: StatusObject) => {
    ending.status = status;
    resolve();
  });
  return ending;
}

/** Writes with back-pressure. Lets go of the input as soon as the peer has answered, also while it waits for more. */
async function send<I extends DescMessage, O>(
  call: ClientDuplexStream<MessageShape<I>, O>,
  schema: I,
  input: AsyncIterable<MessageInitShape<I>>,
  ending: Ending,
): Promise<void> {
  const iterator = input[Symbol.asyncIterator]();
  try {
    while (true) {
      const step = await Promise.race([iterator.next(), ending.reached]);
      if (step === undefined) break;
      if (step.done === true) {
        call.end();
        return;
      }
      if (!call.write(create(schema, step.value))) await Promise.race([drained(call), ending.reached]);
    }
  } catch (error) {
    // The reader sees it as the call's error.
    ending.inputFault = error;
    call.cancel();
    return;
  }
  await iterator.return?.().catch(() => undefined);
}

function drained<I, O>(call: ClientDuplexStream<I, O>): Promise<void> {
  return new Promise((resolve) => call.once("drain", resolve));
}

async function* receive<I, T>(call: ClientDuplexStream<I, T>, ending: Ending): AsyncGenerator<T> {
  try {
    yield* call as AsyncIterable<T>;
    await ending.reached;
  } catch (error) {
    throw ending.inputFault ?? connectErrorOf(error);
  } finally {
    call.cancel();
  }
  if (ending.inputFault !== undefined) throw ending.inputFault;
  if (ending.status !== undefined && ending.status.code !== status.OK) throw connectErrorOf(ending.status);
}

function mayTryAgain(method: DescMethod, error: unknown): boolean {
  return (
    method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN &&
    error instanceof ConnectError &&
    error.code === Code.Unavailable
  );
}

function deadlineOf(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) throw new Error("a call to a peer needs a time-out");
  return Date.now() + timeoutMs;
}

function serializer<D extends DescMessage>(schema: D): (message: MessageShape<D>) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deserializer<D extends DescMessage>(schema: D): (bytes: Buffer) => MessageShape<D> {
  return (bytes) => fromBinary(schema, bytes);
}

function metadataOf(header: HeadersInit | undefined): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of new Headers(header)) metadata.set(name, value);
  return metadata;
}

function connectErrorOf(error: unknown): ConnectError {
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (typeof code !== "number") return ConnectError.from(error);
  const trailer = new Headers({ "grpc-status": String(code), "grpc-message": encodeURIComponent(details ?? "") });
  const packed = metadata?.get("grpc-status-details-bin")[0];
  if (Buffer.isBuffer(packed)) trailer.set("grpc-status-details-bin", packed.toString("base64"));
  return findTrailerError(trailer) ?? ConnectError.from(error);
}
