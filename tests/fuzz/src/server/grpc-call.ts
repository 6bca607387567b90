import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { ErrorInfoSchema } from "@attestry/api/errors";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { type Answer, faultOf } from "./answer.ts";

/** A call whose body is whatever bytes. */
export interface GrpcCall {
  /** `/attestry.run.v1.RunService/Create`. */
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

const noAnswerMs = 30_000;

/** Makes calls over one connection, and a new one when the server has ended it. */
export class GrpcCaller {
  readonly #url: string;
  #session: ClientHttp2Session | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async call({ path, headers, body }: GrpcCall): Promise<Answer> {
    const stream = this.#connected().request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let came: IncomingHttpHeaders = {};
    for (const event of ["response", "trailers"] as const) {
      stream.on(event, (more: IncomingHttpHeaders) => {
        came = { ...came, ...more };
      });
    }
    const closed = new Promise<void>((resolve) => stream.once("close", resolve));
    stream.on("error", () => undefined).resume();
    stream.setTimeout(noAnswerMs, () => stream.close(http2.constants.NGHTTP2_CANCEL));
    stream.end(body);
    await closed;
    return answerOf(came, stream.rstCode ?? 0);
  }

  close(): void {
    this.#session?.destroy();
  }

  #connected(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = http2.connect(this.#url).on("error", () => undefined);
    }
    return this.#session;
  }
}

function answerOf(headers: IncomingHttpHeaders, code: number): Answer {
  const status = headers["grpc-status"];
  if (status === "0") return { reason: undefined, fault: undefined };
  if (status === undefined) {
    const fault = `no status came: HTTP ${String(headers[":status"])}, reset by ${code}`;
    return { reason: undefined, fault };
  }
  const trailer = new Headers();
  for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
    if (typeof headers[name] === "string") trailer.set(name, headers[name]);
  }
  const error = findTrailerError(trailer);
  const reason = error?.findDetails(ErrorInfoSchema)[0]?.reason;
  return { reason, fault: faultOf(reason, String(error)) };
}
