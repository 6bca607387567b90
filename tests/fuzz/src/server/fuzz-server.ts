import { AttestationService } from "@attestry/api/ingest";
import { parseBundle, subjectDigests } from "@attestry/bundle";
import { methodName } from "@attestry/service-kit";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { fuzz } from "../fuzz.ts";
import { bundles, mutatedBundles } from "../grammar/bundle.ts";
import { nastyFiles } from "../nasty.ts";
import { expectAnswer } from "./answer.ts";
import { authorizationOf, type Case } from "./callers.ts";
import { framed } from "./framed.ts";
import { type GrpcCall, GrpcCaller } from "./grpc-call.ts";
import { grpcCases } from "./grpc-cases.ts";
import { httpCall } from "./http-call.ts";
import { httpCases } from "./http-cases.ts";
import type { Server } from "./standalone.ts";

export type Outcomes = Map<string, number>;

/**
 * Tries a server with calls over gRPC, requests over HTTP and bundles to store. Throws for the first that it answers as it
 * must not.
 */
export async function fuzzServer(server: Server, { seed, runs }: { seed: number; runs: number }): Promise<Outcomes> {
  const outcomes: Outcomes = new Map();
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const share = (tenths: number) => Math.ceil((runs * tenths) / 10);
  const caller = new GrpcCaller(server.url);
  const property = <Call extends { headers: Record<string, string> }>(
    cases: fc.Arbitrary<Case<Call>>,
    answer: (call: Call) => Promise<{ reason: string | undefined; fault: string | undefined }>,
  ) =>
    fc.asyncProperty(cases, async (one) => {
      const headers = { ...one.call.headers, ...(await authorizationOf(one, server.tokens)) };
      count(
        (await expectAnswer(
          () => answer({ ...one.call, headers }),
          () => server.busyMs(),
        )) ?? "OK",
      );
    });
  try {
    const grpc = property(grpcCases(server), (call) => caller.call(call));
    await fuzz({ name: "calls over gRPC", runs: share(5), property: grpc }, seed);
    const http = property(httpCases(server), (call) => httpCall(server.url, call));
    await fuzz({ name: "requests over HTTP", runs: share(3), property: http }, seed);
    const stores = fc.asyncProperty(fc.oneof(bundles, mutatedBundles), async (bundle) => {
      count(await storeAndRead(server, caller, bundle));
    });
    await fuzz({ name: "bundles that are stored", runs: share(2), property: stores }, seed);
  } finally {
    caller.close();
  }
  return outcomes;
}

/** Stores each nasty file. Throws for the first that is neither stored nor refused with a reason. */
export async function storeNastyFiles(server: Server): Promise<void> {
  const caller = new GrpcCaller(server.url);
  try {
    for (const { name, bytes } of nastyFiles) {
      const { fault } = await caller.call(storeOf(server, await server.startRun(), bytes()));
      if (fault !== undefined) throw new Error(`${name}: ${fault}`);
    }
  } finally {
    caller.close();
  }
}

function storeOf({ tokens }: Server, runId: string, bundle: Buffer): GrpcCall {
  const { store } = AttestationService.method;
  const body = framed(toBinary(store.input, create(store.input, { runId, bundle })));
  return { path: `/${methodName(store)}`, headers: { authorization: `Bearer ${tokens.admin}` }, body };
}

/** Stores a bundle for a run of its own; what was answered OK is read back, and found by what it is about. */
async function storeAndRead(server: Server, caller: GrpcCaller, bundle: Buffer): Promise<string> {
  const runId = await server.startRun();
  const refused = await expectAnswer(
    () => caller.call(storeOf(server, runId, bundle)),
    () => server.busyMs(),
  );
  if (refused !== undefined) return refused;
  const { bundle: read } = await server.attestations.get({ by: { case: "runId", value: runId } });
  if (!bundle.equals(read)) throw new Error("what comes back is not what was stored");
  for (const subjectDigest of subjectDigests(parseBundle(bundle).statement)) {
    const { attestations } = await server.attestations.list({ subjectDigest, pageSize: 1 });
    if (attestations[0]?.runId !== runId) throw new Error(`not found by ${subjectDigest}`);
  }
  return "OK";
}
