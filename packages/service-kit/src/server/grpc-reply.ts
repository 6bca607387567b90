import http2, { type ServerHttp2Stream } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { plainStatusMessage } from "./grpc-status.ts";

const bodyLetGoMs = 1_000;

/** The answer to a plain gRPC call on its bare HTTP/2 stream. What is said after its end, or to nobody, is not sent. */
export class GrpcReply {
  readonly #stream: ServerHttp2Stream;
  /** Set once the answer is complete; sent behind what waits. */
  #trailer: Headers | undefined;
  #trailerSent = false;
  #taken = 0;
  #refused = false;
  #wake: () => void = () => undefined;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.once("wantTrailers", () => {
      this.#trailerSent = true;
      stream.sendTrailers(Object.fromEntries(this.#trailer ?? []));
    });
    stream.once("close", () => this.#wake());
  }

  /** Whether nothing more can be said. */
  get isOver(): boolean {
    return this.#trailer !== undefined || this.#isGone;
  }

  /** Whether all of it was handed over to the connection. */
  get isDelivered(): boolean {
    return this.#trailerSent;
  }

  /** Messages that were handed over to the connection. */
  get taken(): number {
    return this.#taken;
  }

  /** Bytes that wait for the caller to take them. */
  get waitingBytes(): number {
    return this.#isGone ? 0 : this.#stream.writableLength;
  }

  /** One message in its pieces. */
  send(pieces: readonly Uint8Array[], header: Headers): void {
    if (this.isOver) return;
    this.#begin(header);
    const last = pieces.length - 1;
    this.#stream.cork();
    for (const [i, piece] of pieces.entries()) {
      if (i === last) this.#stream.write(piece, () => this.#onTaken());
      else this.#stream.write(piece);
    }
    this.#stream.uncork();
  }

  /** Resolves when no more than `waitingBytes` wait to be sent; false: nobody waits for a message any more. */
  async room(waitingBytes: number): Promise<boolean> {
    while (!this.isOver && this.#stream.writableLength > waitingBytes) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return !this.isOver;
  }

  /** OK. */
  end(header: Headers, trailer: Headers): void {
    if (this.isOver) return;
    this.#begin(header);
    this.#trailer = new Headers(trailer);
    this.#trailer.set("grpc-status", "0");
    this.#stream.end();
    this.#letGoOfBody();
  }

  /** The one message of a unary answer, and OK. */
  answer(pieces: readonly Uint8Array[], header: Headers, trailer: Headers): void {
    this.#stream.cork();
    this.send(pieces, header);
    this.end(header, trailer);
    this.#stream.uncork();
  }

  /** Ends the answer with a status, in mid-stream too: behind the messages that wait to be sent, for what it takes. */
  refuse(error: ConnectError): void {
    if (this.#refused || this.#isGone) return;
    this.#refused = true;
    const status = plainStatusMessage(setTrailerStatus(new Headers(), error));
    if (this.#stream.headersSent) {
      const isEnding = this.#trailer !== undefined;
      this.#trailer = status;
      if (!isEnding) this.#stream.end();
    } else {
      this.#trailer = status;
      this.#trailerSent = true;
      this.#stream.respond({ ":status": 200, ...contentType, ...Object.fromEntries(status) }, { endStream: true });
    }
    this.#letGoOfBody();
    this.#wake();
  }

  /** As `refuse`, but a caller that does not take what was sent before is waited for no longer than a second. */
  abandon(error: ConnectError): void {
    this.refuse(error);
    if (!this.#isGone && !this.#trailerSent) this.#closeLater(http2.constants.NGHTTP2_CANCEL);
  }

  #onTaken(): void {
    this.#taken++;
    this.#wake();
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #begin(header: Headers): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond({ ":status": 200, ...contentType, ...Object.fromEntries(header) }, { waitForTrailers: true });
  }

  /**
   * What the caller still sends is let go by. A reset at once would overtake the answer at some clients; later it stops
   * one who goes on sending (RFC 9113, section 8.1).
   */
  #letGoOfBody(): void {
    if (this.#stream.readableEnded) return;
    this.#stream.resume();
    this.#closeLater(http2.constants.NGHTTP2_NO_ERROR);
  }

  #closeLater(code: number): void {
    const stop = setTimeout(() => this.#stream.close(code), bodyLetGoMs);
    this.#stream.once("close", () => clearTimeout(stop));
  }
}

const contentType = { "content-type": "application/grpc+proto" };
