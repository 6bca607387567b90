import http from "node:http";
import { ErrorInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { type Answer, faultOf } from "./answer.ts";

/** A request over HTTP/1.1. */
export interface HttpCall {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

const noAnswerMs = 30_000;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

/** Where each refusal has a reason; elsewhere nothing is served. */
const explained = /^\/(v1\/blobs\/|[\w.]+\/\w+$)/;

export async function httpCall(url: string, call: HttpCall): Promise<Answer> {
  const { status, type, body } = await exchange(url, call);
  const [pathname = ""] = call.path.split("?", 1);
  if (status < 400 || (status < 500 && !explained.test(pathname))) return { reason: undefined, fault: undefined };
  // What has no body to say it in, and what Node's parser refuses before anybody is asked.
  if (call.method === "HEAD" || (status < 500 && type === undefined)) return { reason: undefined, fault: undefined };
  const whole = `HTTP ${status}: ${body.toString("latin1").slice(0, 500)}`;
  const reason = type?.startsWith("text/html") ? reasonOnPage(body) : reasonIn(body);
  return { reason, fault: faultOf(reason, whole) };
}

/** Of the answer of a call that came as JSON, or of none. */
function reasonIn(body: Buffer): string | undefined {
  const unreadable = new ConnectError("no error as Connect writes it", Code.Unknown);
  try {
    return errorFromJsonBytes(body, undefined, unreadable).findDetails(ErrorInfoSchema)[0]?.reason;
  } catch {
    return undefined;
  }
}

/** Of the page that a browser gets which opened a link. */
function reasonOnPage(body: Buffer): string | undefined {
  return /\(([A-Z_]+)\)<\/small>/.exec(body.toString())?.[1];
}

interface Exchange {
  status: number;
  type: string | undefined;
  body: Buffer;
}

function exchange(url: string, { method, path, headers, body }: HttpCall): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const sized = { "content-length": String(body.length), ...headers };
    const request = http.request(url, { method, path, agent, headers: sized, timeout: noAnswerMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"],
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.once("timeout", () => request.destroy(new Error(`no answer within ${noAnswerMs / 1_000} s`)));
    request.once("error", (error: NodeJS.ErrnoException) => {
      // The server may end a connection that was used before while the next request is on its way, as HTTP has it.
      if (request.reusedSocket && error.code === "ECONNRESET") resolve(exchange(url, { method, path, headers, body }));
      else reject(error);
    });
    request.end(body);
  });
}
