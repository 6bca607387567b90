import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe } from "@jest/globals";
import { attackSuite } from "../../service-kit/tests/attack-suite.ts";
import { cleanUp, startProcessWith, temporaryFolder, untilReady } from "./server-process.ts";

describe("a whole standalone server", () => {
  afterAll(cleanUp);
  attackSuite(async () => {
    const dataDir = path.join(temporaryFolder(), "data");
    const env = { ...process.env, HTTP_HEADERS_TIMEOUT: "1s", HTTP_IDLE_TIMEOUT: "3s", LOG_LEVEL: "silent" };
    const server = startProcessWith(env, dataDir, "--listen", "127.0.0.1:0");
    const address = await untilReady(server, 60_000);
    return {
      port: Number(new URL(address).port),
      token: readFileSync(path.join(dataDir, "admin-token"), "utf8").trim(),
      path: "/attestry.run.v1.RunService/List",
      streamPath: "/google.bytestream.ByteStream/Write",
      residentMiB: () => Promise.resolve(residentMiB(server.pid)),
      stop: async () => {
        server.signal("SIGINT");
        await server.exited;
      },
    };
  });
});

/** proc(5): VmRSS, in KiB. Throws if the process has ended. */
function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
