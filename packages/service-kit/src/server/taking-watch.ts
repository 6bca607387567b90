import http2 from "node:http2";
import type { NodeResponse } from "./rpc-handler.ts";

/** How often the answers are looked at in the time that a caller may take nothing. */
const looksPerIdle = 4;
/** What a caller should take in that time: that it takes some is seen when all that waits has gone out. */
const takenWhileIdleBytes = 1024 * 1024;

interface Answer {
  waitingBytes: number;
  /** Since when it is so. */
  sinceMs: number;
}

/**
 * Watches answers that wait for their callers, until they are closed: one of which nothing is taken for that long is broken
 * off, later the more there is to take. Not even a refusal could be said to such a caller.
 * @param idleMs how long a caller may take nothing, in milliseconds
 * @param ended ends the watching
 */
export function createTakingWatch(idleMs: number, ended: AbortSignal): (response: NodeResponse) => void {
  const answers = new Map<NodeResponse, Answer>();
  const looking = setInterval(() => {
    const nowMs = performance.now();
    for (const [response, answer] of answers) {
      const waitingBytes = response.writableLength;
      if (waitingBytes === 0 || waitingBytes !== answer.waitingBytes) {
        answer.waitingBytes = waitingBytes;
        answer.sinceMs = nowMs;
      } else if (nowMs - answer.sinceMs >= idleMs * (1 + waitingBytes / takenWhileIdleBytes)) breakOff(response);
    }
  }, idleMs / looksPerIdle).unref();
  ended.addEventListener("abort", () => clearInterval(looking), { once: true });

  return (response) => {
    const answer = { waitingBytes: 0, sinceMs: performance.now() };
    answers.set(response, answer);
    // What was taken may look like nothing: as much waits again.
    response.on("drain", () => {
      answer.waitingBytes = 0;
    });
    response.once("close", () => answers.delete(response));
  };
}

function breakOff(response: NodeResponse): void {
  if ("stream" in response) response.stream.close(http2.constants.NGHTTP2_CANCEL);
  response.destroy();
}
