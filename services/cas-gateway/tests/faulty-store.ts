import http from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to one request: it passes, is answered in the store's place, is never answered, is cut off, or loses half its answer. */
export type Fate = "pass" | "hang" | "reset" | "truncate" | { status: number; body: string };

export interface FaultyStore {
  endpoint: URL;
  /** Decides for each request; `line` is method and path. */
  fate: (line: string) => Fate;
  close(): Promise<void>;
}

/** Stands between a client and an object store. */
export async function startFaultyStore(target: string): Promise<FaultyStore> {
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer((request, response) => {
    const fate = store.fate(`${request.method} ${request.url}`);
    if (fate === "reset") {
      request.socket.destroy();
    } else if (fate === "hang") {
      request.resume();
    } else if (typeof fate === "object") {
      request
        .resume()
        .on("end", () => response.writeHead(fate.status, { "content-type": "application/xml" }).end(fate.body));
    } else {
      // The host header stays the client's: the signature covers it.
      const onward = http.request(
        target,
        { agent, method: request.method ?? "GET", path: request.url ?? "/", headers: request.headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          if (fate === "truncate")
            answer.once("data", (chunk: Buffer) =>
              response.write(chunk.subarray(0, chunk.length / 2), () => response.destroy()),
            );
          else answer.pipe(response);
        },
      );
      onward.on("error", () => response.destroy());
      request.pipe(onward);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const store: FaultyStore = {
    endpoint: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    fate: () => "pass",
    close: async () => {
      server.closeAllConnections();
      agent.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return store;
}

/** The first `count` requests that fit the pattern meet the fate, the others pass. */
export function firstOf(count: number, pattern: RegExp, fate: Fate): (line: string) => Fate {
  let met = 0;
  return (line) => (pattern.test(line) && met++ < count ? fate : "pass");
}
