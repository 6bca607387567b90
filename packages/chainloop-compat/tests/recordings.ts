import { readFileSync } from "node:fs";

/** A call of the chainloop command line, as it went over the wire. */
export interface RecordedCall {
  seq: number;
  server: "controlplane" | "cas";
  /** `/package.Service/Method`. */
  method: string;
  requestMetadata: Record<string, string[]>;
  requests: Buffer[];
  responses: Buffer[];
  /** Of gRPC; 0: OK. */
  code: number;
  message: string | null;
}

export const recordings = ["inline", "s3", "reset", "look"] as const;
export type Recording = (typeof recordings)[number];

/** Base64, or pieces of it and of the repeated line (see the README of the fixtures). */
type Kept = string | (string | [from: number, length: number])[];

const line = Buffer.from("attestry fixture line\n");

/** All calls of a recording, in the order in which they began. */
export function readRecording(name: Recording): RecordedCall[] {
  const file = new URL(`fixtures/${name}.jsonl`, import.meta.url);
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((text) => {
      const call = JSON.parse(text) as RecordedCall & { requests: Kept[] | null; responses: Kept[] | null };
      return { ...call, requests: bytesOf(call.requests), responses: bytesOf(call.responses) };
    });
}

function bytesOf(messages: readonly Kept[] | null): Buffer[] {
  return (messages ?? []).map((kept) => Buffer.concat((typeof kept === "string" ? [kept] : kept).map(pieceOf)));
}

function pieceOf(piece: string | [from: number, length: number]): Buffer {
  if (typeof piece === "string") return Buffer.from(piece, "base64");
  const [from, length] = piece;
  return Buffer.alloc(from + length, line).subarray(from);
}
