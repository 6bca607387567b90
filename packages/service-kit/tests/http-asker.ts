import http from "node:http";
import http2, { type IncomingHttpHeaders } from "node:http2";

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** Whether the transfer came to its end. */
  whole: boolean;
}
interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer | AsyncIterable<Buffer>;
  signal?: AbortSignal;
}
export interface Asker {
  ask(path: string, asked?: Asked): Promise<Answer>;
  close(): void;
}

export function overHttp1(url: string): Asker {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    close: () => agent.destroy(),
    ask: (path, { method = "GET", headers = {}, body, signal } = {}) =>
      new Promise((resolve, reject) => {
        const request = http.request(url + path, { agent, method, headers, ...(signal && { signal }) }, (response) => {
          const chunks: Buffer[] = [];
          const { statusCode: status = 0, headers: came } = response;
          response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => undefined);
          response.once("close", () =>
            resolve({ status, headers: came, body: Buffer.concat(chunks).toString(), whole: response.complete }),
          );
        });
        request.once("error", reject);
        void send(request, body);
      }),
  };
}

export function overHttp2(url: string): Asker {
  const session = http2.connect(url);
  return {
    close: () => session.close(),
    ask: (path, { method = "GET", headers = {}, body, signal } = {}) =>
      new Promise((resolve) => {
        const stream = session.request({ ":path": path, ":method": method, ...headers }, { ...(signal && { signal }) });
        const chunks: Buffer[] = [];
        let came: IncomingHttpHeaders = {};
        stream.on("error", () => undefined).on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("response", (response) => {
          came = response;
        });
        stream.once("close", () =>
          resolve({
            status: Number(came[":status"] ?? 0),
            headers: came,
            body: Buffer.concat(chunks).toString(),
            whole: stream.rstCode === 0,
          }),
        );
        void send(stream, body);
      }),
  };
}

async function send(to: NodeJS.WritableStream, body: Asked["body"]): Promise<void> {
  if (body === undefined) return void to.end();
  if (Buffer.isBuffer(body)) return void to.end(body);
  for await (const chunk of body) to.write(chunk);
  to.end();
}
