import { gzipSync } from "node:zlib";
import { methodName } from "@attestry/service-kit";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import { mutated } from "../grammar/bytes.ts";
import { anyJson } from "../grammar/json.ts";
import { blobUrls } from "../grammar/names.ts";
import { anyText } from "../grammar/text.ts";
import { type Case, callers } from "./callers.ts";
import { framed } from "./framed.ts";
import type { HttpCall } from "./http-call.ts";
import { Messages } from "./messages.ts";
import { methods } from "./methods.ts";
import type { Server } from "./standalone.ts";

const contentEncodings: ((body: Buffer) => [headers: Record<string, string>, body: Buffer])[] = [
  (body) => [{ "content-encoding": "gzip" }, gzipSync(body)],
  (body) => [{ "content-encoding": "gzip" }, body],
  (body) => [{ "content-encoding": "gzip" }, gzipSync(body).subarray(0, -9)],
  (body) => [{ "content-encoding": "zstd" }, body],
  () => [{ "content-encoding": "gzip" }, gzipSync(Buffer.alloc(60 * 1024 * 1024))],
];
const contentWays = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constant((body: Buffer): [Record<string, string>, Buffer] => [{}, body]),
  },
  { weight: 1, arbitrary: fc.constantFrom(...contentEncodings) },
);

/** Calls of every unary method by Connect over HTTP/1.1, in JSON and in protobuf. */
function connectCases(server: Server): fc.Arbitrary<Case<HttpCall>> {
  const filled = new Messages(server.known);
  const unary = methods.filter(({ methodKind }) => methodKind === "unary");
  const cases = unary.map((method) => {
    const inits = filled.of(method.input).map((init) => create(method.input, init));
    const json = inits.map((message) => Buffer.from(jsonOf(() => toJsonString(method.input, message))));
    const bodies = fc.oneof(
      { weight: 3, arbitrary: json.map((body) => ["application/json", body] as const) },
      { weight: 2, arbitrary: mutated(json).map((body) => ["application/json", body] as const) },
      { weight: 2, arbitrary: anyJson.map((text) => ["application/json", Buffer.from(text)] as const) },
      {
        weight: 1,
        arbitrary: inits.map((message) => ["application/proto", Buffer.from(toBinary(method.input, message))] as const),
      },
      { weight: 1, arbitrary: json.map((body) => ["application/grpc-web+proto", framed(body)] as const) },
      { weight: 1, arbitrary: json.map((body) => ["text/plain", body] as const) },
    );
    const path = `/${methodName(method)}`;
    return fc.tuple(callers, bodies, contentWays).map(([caller, [type, plain], encode]) => {
      const [headers, body] = encode(plain);
      return {
        what: methodName(method),
        caller,
        call: { method: "POST", path, headers: { "content-type": type, ...headers }, body },
      };
    });
  });
  return fc.oneof(...cases);
}

/** A date or a duration may be none that JSON can say. */
function jsonOf(write: () => string): string {
  try {
    return write();
  } catch {
    return '{"seconds":"1e999"}';
  }
}

const verbs = fc.constantFrom("GET", "HEAD", "PUT", "GET", "PUT", "OPTIONS", "DELETE", "POST", "PATCH");
const blobHeaders = fc.record(
  {
    range: fc.constantFrom(
      "bytes=0-",
      "bytes=-1",
      "bytes=5-1",
      "bytes=0-0,1-1",
      "bytes=9007199254740993-",
      "lines=1-2",
      "bytes=",
    ),
    "if-match": fc.constantFrom("*", '"a"', 'W/"a"', '"', ","),
    "if-none-match": fc.constantFrom("*", '"a"', "a,b,c", ""),
    "if-range": fc.constantFrom('"a"', "yesterday"),
    "content-range": fc.constantFrom("bytes 0-1/2", "x"),
    "repr-digest": fc.constantFrom("sha-256=:AAAA:", "sha-256=:*:", "md5=::", "a;b;c", "="),
    "content-digest": fc.constantFrom("sha-256=:AAAA:", "sha-256", ""),
    "content-encoding": fc.constantFrom("identity", "gzip", "zstd"),
    traceparent: fc.constantFrom("00-0", `00-${"0".repeat(32)}-${"0".repeat(16)}-00`),
    "x-request-id": fc.constantFrom("a", "a".repeat(200), "a b"),
    accept: fc.constantFrom("text/html", "*/*"),
  },
  { requiredKeys: [] },
);

/** Requests of blobs over HTTP/1.1, and of whatever else may be served. */
function blobCases({ known: { digest } }: Server): fc.Arbitrary<Case<HttpCall>> {
  const paths = fc.oneof(
    { weight: 6, arbitrary: blobUrls },
    { weight: 2, arbitrary: fc.constantFrom(`/v1/blobs/${digest}`, `/v1/blobs/${digest}?instance=local`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("/", "/metrics", "/healthz", "/readyz", "/v1", "/v1/blobs/", "//", "/%00"),
    },
    { weight: 1, arbitrary: anyText.map((text) => `/${text}`) },
  );
  const bodies = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
  return fc.tuple(callers, verbs, paths, blobHeaders, bodies).map(([caller, method, path, headers, body]) => ({
    what: path,
    caller,
    call: {
      method,
      path: sendable(path),
      headers,
      body: ["PUT", "POST", "PATCH"].includes(method) ? body : Buffer.alloc(0),
    },
  }));
}

/** Node refuses heads of more than 16 KiB, and ends the connection. */
const longestPath = 8_000;

/** The path as a client can write it: with all but printable ASCII escaped. */
function sendable(path: string): string {
  const escaped = path.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent);
  return escaped.slice(0, longestPath);
}

export function httpCases(server: Server): fc.Arbitrary<Case<HttpCall>> {
  return fc.oneof(connectCases(server), blobCases(server));
}
