import { randomUUID } from "node:crypto";
import { once } from "node:events";
import http2 from "node:http2";
import { Readable } from "node:stream";
import { WriteRequestSchema } from "@attestry/api/bytestream";
import { create, toBinary } from "@bufbuild/protobuf";
import { Agent, type Dispatcher } from "undici";
import type { BenchBlob } from "./blobs.ts";

/** A way to move blobs: straight to the store, or through the gateway. */
export interface Way {
  name: string;
  upload(blob: BenchBlob): Promise<void>;
  /** Reads a blob to its end and counts its bytes. */
  download(blob: BenchBlob): Promise<void>;
  close(): Promise<void>;
}

const windowBytes = 8 * 1024 * 1024;
const prefixBytes = 5;

/** PUT and GET of URLs through undici: presigned ones of the store, or those of the gateway with a token. */
export function httpWay(
  name: string,
  urlOf: (verb: "PUT" | "GET", blob: BenchBlob) => Promise<string>,
  token = "",
): Way {
  const agent = new Agent({ connections: 32, pipelining: 1 });
  const headers = token === "" ? {} : { authorization: `Bearer ${token}` };

  async function send(method: "PUT" | "GET", blob: BenchBlob): Promise<Dispatcher.ResponseData> {
    const url = new URL(await urlOf(method, blob));
    const answer = await agent.request({
      ...{ origin: url.origin, path: url.pathname + url.search, method },
      headers: method === "PUT" ? { ...headers, "content-length": String(blob.sizeBytes) } : headers,
      body: method === "PUT" ? Readable.from(blob.chunks(), { highWaterMark: 2 }) : null,
    });
    if (answer.statusCode >= 300)
      throw new Error(`${name} ${method}: ${answer.statusCode} ${await answer.body.text()}`);
    return answer;
  }
  return {
    name,
    upload: async (blob) => {
      const { body } = await send("PUT", blob);
      await body.dump();
    },
    download: async (blob) => {
      const { body } = await send("GET", blob);
      let received = 0;
      body.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      await once(body, "end");
      if (received !== blob.sizeBytes) throw new Error(`${name}: ${received} of ${blob.sizeBytes} bytes came`);
    },
    close: () => agent.close(),
  };
}

/** ByteStream Write and Read over one HTTP/2 session, with nothing beside, as a lean client in another language would. */
export function grpcWay(name: string, url: string, token: string): Way {
  const session = http2.connect(url, { settings: { initialWindowSize: windowBytes } });
  session.on("connect", () => session.setLocalWindowSize(windowBytes));
  const begin = (method: string) =>
    session.request({
      ":method": "POST",
      ":path": `/google.bytestream.ByteStream/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${token}`,
    });

  return {
    name,
    upload: async (blob) => {
      const stream = begin("Write");
      const ended = statusOf(name, stream);
      stream.resume();
      const resourceName = `uploads/${randomUUID()}/blobs/${blob.hex}/${blob.sizeBytes}`;
      let sent = 0;
      for (const data of blob.chunks()) {
        const finishWrite = sent + data.length === blob.sizeBytes;
        const fields = { writeOffset: BigInt(sent), finishWrite, ...(sent === 0 && { resourceName }) };
        stream.cork();
        stream.write(framed(toBinary(WriteRequestSchema, create(WriteRequestSchema, fields)), data.length));
        const isRoom = stream.write(data);
        stream.uncork();
        sent += data.length;
        // A blob that is there already is answered before it was sent.
        if (!isRoom) await Promise.race([once(stream, "drain"), ended]);
      }
      stream.end();
      await ended;
    },
    download: async (blob) => {
      const stream = begin("Read");
      const ended = statusOf(name, stream);
      let received = 0;
      stream.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      // ReadRequest with its one field, resource_name.
      const resource = Buffer.from(`blobs/${blob.hex}/${blob.sizeBytes}`);
      const request = Buffer.concat([Buffer.from([0, 0, 0, 0, resource.length + 2, 0x0a, resource.length]), resource]);
      stream.end(request);
      await ended;
      if (received < blob.sizeBytes) throw new Error(`${name}: ${received} of ${blob.sizeBytes} bytes came`);
    },
    close: async () => {
      session.close();
    },
  };
}

/** A gRPC message up to the bytes of its last field, number 10, which are sent as they are. */
function framed(fields: Uint8Array, dataBytes: number): Buffer {
  const length: number[] = [];
  for (let rest = dataBytes; ; rest >>>= 7) {
    length.push(rest < 128 ? rest : (rest & 127) | 128);
    if (rest < 128) break;
  }
  const field = Buffer.from([0x52, ...length]);
  const head = Buffer.alloc(prefixBytes);
  head.writeUInt32BE(fields.length + field.length + dataBytes, 1);
  return Buffer.concat([head, fields, field]);
}

function statusOf(name: string, stream: http2.ClientHttp2Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    let status: http2.IncomingHttpHeaders = {};
    const seen = (received: http2.IncomingHttpHeaders) => {
      if (received["grpc-status"] !== undefined) status = received;
    };
    stream.on("response", seen);
    stream.on("trailers", seen);
    stream.on("error", reject);
    stream.on("close", () => {
      if (status["grpc-status"] === "0") resolve();
      else reject(new Error(`${name}: gRPC status ${String(status["grpc-status"])} ${String(status["grpc-message"])}`));
    });
  });
}
