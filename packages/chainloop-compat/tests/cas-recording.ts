import { readFileSync } from "node:fs";

/** A call of the real chainloop command line to its own CAS, as it went over the wire (2026-11-23). */
export interface RecordedCasCall {
  /** Of which conversation: with an S3 backend, `s3` (add, add again, download) or `look` (artifact upload). */
  recording: "s3" | "look";
  /** In its conversation. */
  seq: number;
  /** `/package.Service/Method`. */
  method: string;
  requests: Buffer[];
  responses: Buffer[];
  /** Of gRPC. */
  code: number;
}

/**
 * Base64; or pieces of it where a message holds much of the blob of `s3`, which is one line again and again: pairs are bytes
 * of that line, repeated, from one of them on.
 */
type Kept = string | (string | [from: number, length: number])[];

const line = Buffer.from("attestry fixture line\n");

/** All that were recorded, in the order in which they began. */
export function recordedCasCalls(): RecordedCasCall[] {
  return readFileSync(new URL("fixtures/cas.jsonl", import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
    .map((text) => {
      const call = JSON.parse(text) as RecordedCasCall & { requests: Kept[]; responses: Kept[] };
      return { ...call, requests: call.requests.map(bytesOf), responses: call.responses.map(bytesOf) };
    });
}

function bytesOf(kept: Kept): Buffer {
  return Buffer.concat((typeof kept === "string" ? [kept] : kept).map(pieceOf));
}

function pieceOf(piece: string | [from: number, length: number]): Buffer {
  if (typeof piece === "string") return Buffer.from(piece, "base64");
  const [from, length] = piece;
  return Buffer.alloc(from + length, line).subarray(from);
}
