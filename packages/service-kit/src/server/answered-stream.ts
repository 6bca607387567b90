import http2, { type ServerHttp2Stream } from "node:http2";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";

/** A caller that was answered before it sent all may stop now (RFC 9113, section 8.1); else its stream would stay open. */
export function endWhenAnswered(stream: ServerHttp2Stream): void {
  stream.once("wantTrailers", () => {
    setImmediate(() => {
      if (stream.readableEnded) return;
      stream.close(http2.constants.NGHTTP2_NO_ERROR);
      // What came and is read by nobody would keep it from closing.
      stream.destroy();
    });
  });
}

/** Once nothing more is read for the answer, the rest of the body is thrown away: it must not fill the window meanwhile. */
export function discardWhenFinished(
  answer: UniversalServerResponse,
  stream: ServerHttp2Stream,
): UniversalServerResponse {
  const { body } = answer;
  if (body !== undefined) return { ...answer, body: thenDiscard(body, stream) };
  discard(stream);
  return answer;
}

async function* thenDiscard(body: AsyncIterable<Uint8Array>, stream: ServerHttp2Stream): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    discard(stream);
  }
}

function discard(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  // One that was never read, or is paused, flows with a listener of its own.
  stream
    .removeAllListeners("data")
    .on("data", () => undefined)
    .resume();
}
