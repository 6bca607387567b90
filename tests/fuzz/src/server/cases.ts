import { gzipSync } from "node:zlib";
import { ByteStream } from "@attestry/api/bytestream";
import { BlobService, ScrubService } from "@attestry/api/cas";
import * as ingest from "@attestry/api/ingest";
import { Capabilities, ContentAddressableStorage } from "@attestry/api/reapi";
import * as run from "@attestry/api/run";
import { type AccessRule, methodName, type ServiceName } from "@attestry/service-kit";
import { create, type DescMethod, type DescService, toBinary, toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import { access as ingestAccess } from "../../../../services/attestation-ingest/src/access.ts";
import { access as casAccess } from "../../../../services/cas-gateway/src/access.ts";
import { access as runAccess } from "../../../../services/workflow-run/src/access.ts";
import { mutated } from "../grammar/bytes.ts";
import { anyJson } from "../grammar/json.ts";
import { blobUrls } from "../grammar/names.ts";
import { anyText } from "../grammar/text.ts";
import type { GrpcCall } from "./grpc-call.ts";
import type { HttpCall } from "./http-call.ts";
import { Messages } from "./messages.ts";
import type { Server, Tokens } from "./standalone.ts";

const access: Readonly<Record<string, AccessRule>> = { ...runAccess, ...ingestAccess, ...casAccess };

const methodsOf = (service: DescService): DescMethod[] => service.methods;
/** Every method that is served; of two that are named alike, both. */
const methods: readonly DescMethod[] = [
  ...[...Object.values(run), ...Object.values(ingest)].filter(isService),
  ByteStream,
  ContentAddressableStorage,
  Capabilities,
  BlobService,
  ScrubService,
]
  .flatMap(methodsOf)
  .filter((method) => access[methodName(method)] !== undefined);

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

/** Who calls: mostly one who may. */
type Caller = "who may" | "nobody" | "an admin" | "an uploader" | "a service" | "an odd one";
const callers: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 20, arbitrary: fc.constant<Caller>("who may") },
  { weight: 1, arbitrary: fc.constantFrom<Caller>("nobody", "an admin", "an uploader", "a service", "an odd one") },
);

const timeouts = fc.oneof(
  { weight: 20, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("0n", "1n", "1m", "99999999H", "9999999999S", "-1S", "abc", "1", "", "1e3m")
      .map((timeout) => ({ "grpc-timeout": timeout })),
  },
);

export interface Case<Call> {
  /** `attestry.run.v1.RunService/Create`, or a path. */
  what: string;
  caller: Caller;
  call: Call;
}

function framed(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([prefix, message]);
}

const framings: ((messages: Uint8Array[]) => Buffer)[] = [
  (messages) => Buffer.concat(messages),
  (messages) => Buffer.concat(messages.map((message) => framed(gzipSync(message), 1))),
  (messages) => Buffer.concat(messages.map((message) => framed(message, 1))),
  (messages) => Buffer.concat(messages.map((message) => framed(message, 0, message.length + 1))),
  (messages) => Buffer.concat(messages.map((message) => framed(message, 0, 2 ** 32 - 1))),
  (messages) => Buffer.concat(messages.map((message) => framed(message, 2))),
  (messages) => Buffer.concat([...messages, ...messages].map((message) => framed(message))),
];
const framingWays = fc.oneof(
  { weight: 30, arbitrary: fc.constant((messages: Uint8Array[]) => Buffer.concat(messages.map((one) => framed(one)))) },
  { weight: 1, arbitrary: fc.constantFrom(...framings) },
);
const encodingHeaders = fc.oneof(
  { weight: 30, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("gzip", "identity", "zstd", "br", "").map((name) => ({ "grpc-encoding": name })),
  },
);

/** Calls over plain gRPC: every method, with messages by their descriptors, whole or with faults in their bytes. */
export function grpcCases(server: Server): fc.Arbitrary<Case<GrpcCall>> {
  const filled = new Messages(server.known);
  const cases = methods.map((method) => {
    const isStream = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
    const whole = filled.of(method.input).map((init) => toBinary(method.input, create(method.input, init)));
    const bytes = fc.oneof({ weight: 6, arbitrary: whole }, { weight: 1, arbitrary: mutated(whole) });
    const streams = isStream ? fc.array(bytes, { maxLength: 3 }) : bytes.map((one) => [one]);
    return fc
      .tuple(callers, streams, framingWays, timeouts, encodingHeaders)
      .map(([caller, messages, frame, timeout, encoding]) => ({
        what: methodName(method),
        caller,
        call: { path: `/${methodName(method)}`, headers: { ...timeout, ...encoding }, body: frame(messages) },
      }));
  });
  return fc.oneof(...cases);
}

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

/** The header of the caller. */
export async function authorizationOf(
  { what, caller }: Pick<Case<unknown>, "what" | "caller">,
  tokens: Tokens,
): Promise<Record<string, string>> {
  const token = await tokenOf(what, caller, tokens);
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function tokenOf(what: string, caller: Caller, tokens: Tokens): Promise<string | undefined> {
  switch (caller) {
    case "nobody":
      return undefined;
    case "an admin":
      return tokens.admin;
    case "an uploader":
      return tokens.cas("uploader", "blobs");
    case "a service":
      return tokens.service["attestation-ingest"](serviceOf(what));
    case "an odd one":
      return `${tokens.admin.slice(0, -4)}AAAA`;
    case "who may":
      return rightful(what, access[what] ?? { api: "admin" }, tokens);
  }
}

async function rightful(what: string, { api, services, cas }: AccessRule, tokens: Tokens): Promise<string> {
  const [role] = cas ?? [];
  const [service] = services ?? [];
  if (role !== undefined) return tokens.cas(role, "blobs");
  if (api !== undefined) return tokens.admin;
  if (service !== undefined) return tokens.service[service](serviceOf(what));
  return tokens.instanceAdmin;
}

/** Which service has the method, by its package. */
function serviceOf(what: string): ServiceName {
  if (/^attestry\.(run|audit)\./.test(what)) return "workflow-run";
  return what.startsWith("attestry.ingest.") ? "attestation-ingest" : "cas-gateway";
}
