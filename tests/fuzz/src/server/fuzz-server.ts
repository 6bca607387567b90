import { AttestationService } from "@attestry/api/ingest";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { fuzz } from "../fuzz.ts";
import { nastyFiles } from "../nasty.ts";
import { expectAnswer } from "./answer.ts";
import { authorizationOf, type Case } from "./callers.ts";
import { framed } from "./framed.ts";
import { GrpcCaller } from "./grpc-call.ts";
import { grpcCases } from "./grpc-cases.ts";
import { httpCall } from "./http-call.ts";
import { httpCases } from "./http-cases.ts";
import type { Server } from "./standalone.ts";

export type Outcomes = Map<string, number>;

/** Tries a server with calls over gRPC and requests over HTTP. Throws for the first that it answers as it must not. */
export async function fuzzServer(server: Server, { seed, runs }: { seed: number; runs: number }): Promise<Outcomes> {
  const outcomes: Outcomes = new Map();
  const caller = new GrpcCaller(server.url);
  const property = <Call extends { headers: Record<string, string> }>(
    cases: fc.Arbitrary<Case<Call>>,
    answer: (call: Call) => Promise<{ reason: string | undefined; fault: string | undefined }>,
  ) =>
    fc.asyncProperty(cases, async (one) => {
      const headers = { ...one.call.headers, ...(await authorizationOf(one, server.tokens)) };
      const outcome = (await expectAnswer(() => answer({ ...one.call, headers }))) ?? "OK";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    });
  try {
    const grpc = property(grpcCases(server), (call) => caller.call(call));
    await fuzz({ name: "calls over gRPC", runs: Math.ceil(runs / 2), property: grpc }, seed);
    const http = property(httpCases(server), (call) => httpCall(server.url, call));
    await fuzz({ name: "requests over HTTP", runs: Math.floor(runs / 2), property: http }, seed);
  } finally {
    caller.close();
  }
  return outcomes;
}

/** Stores each nasty file. Throws for the first that is neither stored nor refused with a reason. */
export async function storeNastyFiles(server: Server): Promise<void> {
  const { method } = AttestationService;
  const caller = new GrpcCaller(server.url);
  try {
    for (const { name, bytes } of nastyFiles) {
      const request = create(method.store.input, { runId: await server.startRun(), bundle: bytes() });
      const message = toBinary(method.store.input, request);
      const body = framed(message);
      const headers = { authorization: `Bearer ${server.tokens.admin}` };
      const { fault } = await caller.call({ path: "/attestry.ingest.v1.AttestationService/Store", headers, body });
      if (fault !== undefined) throw new Error(`${name}: ${fault}`);
    }
  } finally {
    caller.close();
  }
}
