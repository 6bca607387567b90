// Preloaded into one process by NODE_OPTIONS=--import: it answers on 127.0.0.1:EVENT_LOOP_PORT how long the longest turn of its
// event loop took since it was asked last, in milliseconds. Worker threads, which inherit the options, are not meant.
import { createServer } from "node:http";
import { performance } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const { EVENT_LOOP_PORT: port } = process.env;
if (isMainThread && port !== undefined) {
  let began = performance.now();
  let longestMs = 0;
  const turn = () => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - began);
    began = now;
    setImmediate(turn);
  };
  turn();
  createServer((_request, response) => {
    response.end(String(longestMs));
    longestMs = 0;
  }).listen(Number(port), "127.0.0.1");
}
