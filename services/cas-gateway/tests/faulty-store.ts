import http from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { Signer } from "../src/backends/s3-signature.ts";

/**
 * What happens to one request: it passes, is answered in the store's place, is never answered, is cut off before the store
 * has it, is done but its answer lost, loses half its answer, or arrives without some headers (signed anew).
 */
export type Fate =
  | "pass"
  | "hang"
  | "reset"
  | "lose"
  | "truncate"
  | { status: number; body: string; headers?: Record<string, string> }
  | { without: readonly string[] };

export interface SeenRequest {
  /** Method and path. */
  line: string;
  headers: http.IncomingHttpHeaders;
}

export interface FaultyStore {
  endpoint: URL;
  /** Decides for each request. */
  fate: (line: string, headers: http.IncomingHttpHeaders) => Fate;
  /** What came, in order. */
  seen: SeenRequest[];
  close(): Promise<void>;
}

export interface FaultyStoreOptions {
  /** To sign anew what is to arrive without some headers. */
  credentials?: { accessKey: string; secretKey: string; region: string };
}

/** Stands between a client and an object store. */
export async function startFaultyStore(target: string, { credentials }: FaultyStoreOptions = {}): Promise<FaultyStore> {
  const agent = new http.Agent({ keepAlive: true });

  function forward(request: http.IncomingMessage, response: http.ServerResponse, fate: Fate): void {
    const { method = "GET", url: path = "/" } = request;
    // The host header stays the client's: the signature covers it.
    let headers: http.OutgoingHttpHeaders = request.headers;
    if (typeof fate === "object" && "without" in fate && credentials !== undefined)
      headers = signedWithout(fate.without, { method, path, headers: request.headers }, new Signer(credentials));
    const onward = http.request(target, { agent, method, path, headers }, (answer) => {
      if (fate === "lose") {
        void buffer(answer).then(
          () => response.destroy(),
          () => response.destroy(),
        );
        return;
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      if (fate === "truncate")
        answer.once("data", (chunk: Buffer) =>
          response.write(chunk.subarray(0, chunk.length / 2), () => response.destroy()),
        );
      else answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    // A client that goes leaves no request behind: the store would hold its lock on the object.
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  const server = http.createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    store.seen.push({ line, headers: request.headers });
    const fate = store.fate(line, request.headers);
    if (fate === "reset") request.socket.destroy();
    else if (fate === "hang") request.resume();
    else if (typeof fate === "object" && "status" in fate) {
      const { status, body, headers } = fate;
      request
        .resume()
        .on("end", () => response.writeHead(status, { "content-type": "application/xml", ...headers }).end(body));
    } else forward(request, response, fate);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const store: FaultyStore = {
    endpoint: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    fate: () => "pass",
    seen: [],
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

/** An error of the S3 API. */
export function refusal(status: number, code: string): Fate {
  return { status, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>` };
}

function signedWithout(
  names: readonly string[],
  { method, path, headers }: { method: string; path: string; headers: http.IncomingHttpHeaders },
  signer: Signer,
): Record<string, string> {
  const unsigned = new Set([...names, "authorization", "connection", "content-length"]);
  const kept = Object.entries(headers).filter(([name]) => !unsigned.has(name)) as [string, string][];
  const payload = String(headers["x-amz-content-sha256"]);
  const signed = signer.sign({ method, path, headers: Object.fromEntries(kept) }, payload, new Date());
  const length = headers["content-length"];
  return length === undefined ? signed : { ...signed, "content-length": length };
}
