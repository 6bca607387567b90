import http2, { type Http2Server, type ServerHttp2Session } from "node:http2";
import { TokenBucket } from "limiter";
import type { Logger } from "../observe/logger.ts";
import { largestWindowBytes, type ReceiveWindows } from "./receive-windows.ts";

/** An old connection is ended gracefully, so that clients spread over replicas that came later. */
const ageMs = 30 * 60_000;
/** A client that was told that its connection ends, and does not let go of it. */
const farewellMs = 5_000;

export interface SessionOptions {
  sessions: Set<ServerHttp2Session>;
  windows: ReceiveWindows;
  /** How long a connection may have no call open, in milliseconds. */
  idleMs: number;
  /** PING and SETTINGS frames that a client may send on one connection. */
  pings: { burst: number; perSecond: number };
  logger: Logger;
}

/** Keeps `sessions`, opens their windows, and ends each when it is old or has long had no call. */
export function trackSessions(server: Http2Server, { sessions, windows, idleMs, pings, logger }: SessionOptions): void {
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(largestWindowBytes);
    windows.joined(session);
    const age = setTimeout(() => session.close(), ageMs * (0.8 + 0.4 * Math.random())).unref();
    const idle = endWhenIdle(session, idleMs);
    endWhenFlooded(session, pings);
    session.once("close", () => {
      clearTimeout(age);
      clearTimeout(idle);
      sessions.delete(session);
    });
    session.on("error", (error) => logger.debug({ err: error }, "HTTP/2 session ended by an error"));
  });
  server.on("sessionError", () => undefined);
}

/** By its calls alone: Node's own time-out of a session is put off by each ping, and by half a header. */
function endWhenIdle(session: ServerHttp2Session, idleMs: number): NodeJS.Timeout {
  let open = 0;
  const timer = setTimeout(() => {
    if (open > 0) return;
    session.close();
    setTimeout(() => session.destroy(), farewellMs).unref();
  }, idleMs).unref();
  session.on("stream", (stream) => {
    open++;
    stream.once("close", () => {
      open--;
      if (open === 0 && !session.destroyed) timer.refresh();
    });
  });
  return timer;
}

/** Each such frame is answered, and costs its sender next to nothing; nghttp2 bounds only answers that wait to be sent. */
function endWhenFlooded(session: ServerHttp2Session, { burst, perSecond }: SessionOptions["pings"]): void {
  const bucket = new TokenBucket({ bucketSize: burst, tokensPerInterval: perSecond, interval: "second" });
  bucket.content = burst;
  function count(): void {
    if (bucket.tryRemoveTokens(1) || session.destroyed) return;
    session.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  }
  session.on("ping", count);
  session.on("remoteSettings", count);
}
