import { readFileSync } from "node:fs";
import type { DescMethod } from "@bufbuild/protobuf";
import { services } from "../../src/control-plane/access.ts";

/** A call of the real command line to its own server, decoded. */
export interface RecordedCall {
  seq: number;
  method: DescMethod;
  request: Buffer;
  /** Undefined: it was refused. */
  response: Buffer | undefined;
  code: number;
  message: string;
}

interface Line {
  seq: number;
  method: string;
  requests: string[];
  responses: string[] | null;
  code: number;
  message: string | null;
}

const methods = new Map(
  services.flatMap((service) =>
    service.methods.map((method): [string, DescMethod] => [`/${service.typeName}/${method.name}`, method]),
  ),
);

/** The calls to the control plane of one recorded conversation, in their order. */
export function recording(name: "inline" | "s3" | "reset" | "look"): RecordedCall[] {
  const file = new URL(`../fixtures/${name}.jsonl`, import.meta.url);
  return readFileSync(file, "utf8").trim().split("\n").map(readLine);
}

function readLine(text: string): RecordedCall {
  const { seq, method: path, requests, responses, code, message }: Line = JSON.parse(text);
  const method = methods.get(path);
  if (method === undefined) throw new Error(`${path} is not served`);
  const [response] = responses ?? [];
  return {
    ...{ seq, method, code },
    request: Buffer.from(requests[0] ?? "", "base64"),
    response: response === undefined ? undefined : Buffer.from(response, "base64"),
    message: message ?? "",
  };
}
