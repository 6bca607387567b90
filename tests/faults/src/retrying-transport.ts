import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

const connections = 4;

/** The standard retry policy of gRPC, as a service config (gRFC A6); grpc-js obeys it by itself. */
const serviceConfig = {
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

/** What clients of other platforms are: several plain gRPC clients that know nothing of Attestry but its address. */
export function retryingTransport(baseUrl: string, token: string): Transport {
  const clients = Array.from(
    { length: connections },
    () =>
      new Client(new URL(baseUrl).host, credentials.createInsecure(), {
        "grpc.service_config": JSON.stringify(serviceConfig),
        "grpc.use_local_subchannel_pool": 1,
      }),
  );
  let turn = 0;

  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      _signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      _header: HeadersInit | undefined,
      input: MessageInitShape<I>,
    ): Promise<UnaryResponse<I, O>> {
      const client = clients[turn++ % clients.length];
      const metadata = new Metadata();
      metadata.set("authorization", `Bearer ${token}`);
      const message = await new Promise<Buffer>((resolve, reject) => {
        client?.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.from(toBinary(method.input, create(method.input, input))),
          metadata,
          { deadline: Date.now() + (timeoutMs ?? 30_000) },
          (error, bytes) => {
            if (error !== null) reject(new ConnectError(error.details, error.code as number as Code));
            else resolve(bytes ?? Buffer.alloc(0));
          },
        );
      });
      return {
        stream: false,
        service: method.parent,
        method,
        message: fromBinary(method.output, message),
        header: new Headers(),
        trailer: new Headers(),
      };
    },
    stream() {
      throw new ConnectError("this transport is for unary calls", Code.Unimplemented);
    },
  };
}
