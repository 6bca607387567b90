import { setTimeout as sleep } from "node:timers/promises";
import { adminToken, fakeModule, serveModule } from "./fake-module.ts";

// A process of its own for slow-streams.test.ts, which asks how much memory it holds.
const block = new Uint8Array(1024 * 1024);
const server = await serveModule(
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
);
process.on("message", () => process.send?.({ rss: process.memoryUsage().rss }));
process.on("disconnect", () => process.exit());
process.send?.({ url: server.url, token: adminToken });
