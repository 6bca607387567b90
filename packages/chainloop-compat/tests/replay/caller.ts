import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";

/** How a raw call ended. */
export interface RawAnswer {
  /** Undefined: it was refused. */
  response: Buffer | undefined;
  code: number;
  message: string;
}

/** Calls as the command line makes them: plain gRPC with its metadata, messages as bytes. */
export class RawCaller {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor(url: string, { token, organization }: { token: string; organization: string }) {
    this.#client = new Client(new URL(url).host, credentials.createInsecure());
    this.#metadata.set("authorization", `Bearer ${token}`);
    this.#metadata.set("chainloop-organization", organization);
    this.#metadata.set("chainloop-cli-version", "dev-oss");
  }

  /** @param path `/package.Service/Method` */
  call(path: string, request: Buffer): Promise<RawAnswer> {
    const asIs = (bytes: Buffer) => bytes;
    const deadline = Date.now() + 30_000;
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, response?: Buffer) =>
        resolve({ response, code: error?.code ?? 0, message: error?.details ?? "" });
      this.#client.makeUnaryRequest(path, asIs, asIs, request, this.#metadata, { deadline }, done);
    });
  }

  close(): void {
    this.#client.close();
  }
}
