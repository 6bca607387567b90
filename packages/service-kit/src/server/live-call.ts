import type { ServerHttp2Stream } from "node:http2";
import { connectErrorOf } from "../errors/connect-error.ts";
import type { BodyLease } from "./body-budget.ts";
import { type BodyPace, tooSlow } from "./body-pace.ts";
import { callerIdle } from "./caller-gone.ts";
import type { GrpcReply } from "./grpc-reply.ts";

/** What a caller should take in the time that it may be idle: that it takes some is seen when all that waits has gone out. */
const takenWhileIdleBytes = 1024 * 1024;
/** A call that was ended is reset a second later. */
const resetMs = 2_000;

/** A plain gRPC call under way, and since when its caller lets it wait: neither sends its one message nor takes the answer. */
export class LiveCall {
  readonly abort = new AbortController();
  readonly reply: GrpcReply;
  readonly lease: BodyLease;
  /** Since when the one message of the caller is read; undefined: it is not. */
  readingSinceMs: number | undefined;
  readonly #stream: ServerHttp2Stream;
  /** What the caller had sent and taken when it was last looked at. */
  #progress = -1;
  #sinceMs = 0;

  constructor(stream: ServerHttp2Stream, reply: GrpcReply, lease: BodyLease) {
    this.#stream = stream;
    this.reply = reply;
    this.lease = lease;
  }

  /**
   * To be called now and then, rather than to have a timer for each message: ends the call with DEADLINE_EXCEEDED if it has
   * waited for the caller for that long, longer the more there is to take, or if its one message comes slower than it may;
   * and the connection if not even that can be said.
   */
  look(nowMs: number, pace: BodyPace): void {
    const { idleMs } = pace;
    const { aborted } = this.abort.signal;
    if (!aborted && this.readingSinceMs !== undefined) {
      const slow = tooSlow(pace, this.lease.held(), nowMs - this.readingSinceMs);
      if (slow !== undefined) this.abort.abort(connectErrorOf(slow));
    }
    const { waitingBytes, taken } = this.reply;
    const progress = this.lease.held() + taken + (aborted ? 1 : 0);
    const isWaiting = this.readingSinceMs !== undefined || waitingBytes > 0 || aborted;
    if (!isWaiting || progress !== this.#progress) {
      this.#progress = progress;
      this.#sinceMs = nowMs;
      return;
    }
    const waitedMs = nowMs - this.#sinceMs;
    if (aborted) {
      if (waitedMs >= idleMs + resetMs) this.#stream.session?.destroy();
    } else if (waitedMs >= idleMs * (1 + waitingBytes / takenWhileIdleBytes)) this.abort.abort(callerIdle(idleMs));
  }
}
