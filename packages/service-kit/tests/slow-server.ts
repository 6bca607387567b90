import { setTimeout as sleep } from "node:timers/promises";
import { createMetrics, serve } from "../src/index.ts";
import { adminToken, fakeModule, logger } from "./fake-module.ts";

// A process of its own for slow-streams.test.ts and raw-sockets.test.ts, which ask how much memory it holds.
const block = new Uint8Array(1024 * 1024);
const modules = [
  fakeModule({
    get: ({ name }) => ({ workflow: { name } }),
    async *read() {
      while (true) yield { data: block.slice() };
    },
    async write(messages, { signal }) {
      let committedSize = 0n;
      for await (const { data } of messages) {
        committedSize += BigInt(data.length);
        await sleep(600_000, undefined, { signal });
      }
      return { committedSize };
    },
  }),
];
const limits = { headersTimeoutMs: 1_000, idleConnectionMs: 3_000 };
const listen = { host: "127.0.0.1", port: 0 };
const server = await serve({ modules, listen, limits, logger, metrics: createMetrics() });
process.on("message", () => process.send?.({ rss: process.memoryUsage().rss }));
process.on("disconnect", () => process.exit());
process.send?.({ url: server.url, token: adminToken });
