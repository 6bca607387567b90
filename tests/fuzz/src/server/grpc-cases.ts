import { gzipSync } from "node:zlib";
import { methodName } from "@attestry/service-kit";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { mutated } from "../grammar/bytes.ts";
import { type Case, callers } from "./callers.ts";
import { framed } from "./framed.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { Messages } from "./messages.ts";
import { methods } from "./methods.ts";
import type { Server } from "./standalone.ts";
import { uploadCases } from "./upload-cases.ts";

const timeouts = fc.oneof(
  { weight: 20, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("0n", "1n", "1m", "99999999H", "9999999999S", "-1S", "abc", "1", "", "1e3m")
      .map((timeout) => ({ "grpc-timeout": timeout })),
  },
);

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
  return fc.oneof({ weight: 6, arbitrary: fc.oneof(...cases) }, { weight: 1, arbitrary: uploadCases });
}
