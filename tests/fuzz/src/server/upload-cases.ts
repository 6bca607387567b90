import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { ByteStream } from "@attestry/api/bytestream";
import { methodName } from "@attestry/service-kit";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { mutated } from "../grammar/bytes.ts";
import { uuids } from "../grammar/text.ts";
import { type Case, callers } from "./callers.ts";
import { framed } from "./framed.ts";
import type { GrpcCall } from "./grpc-call.ts";

const { write } = ByteStream.method;
const blobs = fc.uint8Array({ maxLength: 3_000, size: "max" }).map((bytes) => Buffer.from(bytes));
const share = fc.integer({ min: 0, max: 1_000 }).map((part) => part / 1_000);

/** What is sent of a blob: all of it, plain or compressed, or that with small faults. */
const bodies = blobs.chain((blob) =>
  fc.boolean().chain((isCompressed) => {
    const body = isCompressed ? zstdCompressSync(blob) : blob;
    const sent = fc.oneof(
      { weight: 2, arbitrary: fc.constant(body) },
      { weight: 1, arbitrary: mutated(fc.constant(body)) },
    );
    return sent.map((bytes) => ({ blob, isCompressed, bytes }));
  }),
);

const uploads = fc.record({
  body: bodies,
  id: uuids,
  /** Where messages end. */
  cuts: fc.array(share, { maxLength: 4 }),
  /** How far a message lies about where its bytes begin. */
  lie: fc.oneof(
    { weight: 9, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: -3_000, max: 3_000 }) },
  ),
  finishes: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
});

/** Uploads that are right in all but, now and then, their bytes, offsets or end: they get as far as the store. */
export const uploadCases: fc.Arbitrary<Case<GrpcCall>> = fc.tuple(callers, uploads).map(([caller, upload]) => {
  const { body, id, cuts, lie, finishes } = upload;
  const { blob, isCompressed, bytes } = body;
  const digest = createHash("sha256").update(blob).digest("hex");
  const resourceName = `uploads/${id}/${isCompressed ? "compressed-blobs/zstd" : "blobs"}/${digest}/${blob.length}`;
  const edges = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  const messages = edges.slice(1).map((end, i) => {
    const begin = edges[i] ?? 0;
    const isLast = i === edges.length - 2;
    const writeOffset = BigInt(begin + (isLast ? lie : 0));
    const request = { resourceName, writeOffset, data: bytes.subarray(begin, end), finishWrite: isLast && finishes };
    return framed(toBinary(write.input, create(write.input, request)));
  });
  return {
    what: methodName(write),
    caller,
    call: { path: `/${methodName(write)}`, headers: {}, body: Buffer.concat(messages) },
  };
});
