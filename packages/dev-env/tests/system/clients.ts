import { AttestationService, type Upload, UploadService, type UploadState } from "@attestry/api/ingest";
import {
  BackendService,
  FederationService,
  OrganizationService,
  RunService,
  SigningService,
  TokenService,
  TrustService,
  WorkflowService,
} from "@attestry/api/run";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

/** Clients of a constellation as a caller with this token has them, over plain gRPC. */
export function clientsOf(urls: { runUrl: string; ingestUrl: string }, token: string) {
  const over = (baseUrl: string): Transport =>
    createGrpcTransport({
      baseUrl,
      interceptors: [
        (next) => (request) => {
          if (token !== "") request.header.set("authorization", `Bearer ${token}`);
          return next(request);
        },
      ],
    });
  const run = over(urls.runUrl);
  const ingest = over(urls.ingestUrl);
  const at = <S extends DescService>(service: S, transport: Transport): Client<S> => createClient(service, transport);
  return {
    organizations: at(OrganizationService, run),
    workflows: at(WorkflowService, run),
    runs: at(RunService, run),
    backends: at(BackendService, run),
    tokens: at(TokenService, run),
    trust: at(TrustService, run),
    federation: at(FederationService, run),
    signing: at(SigningService, run),
    attestations: at(AttestationService, ingest),
    uploads: at(UploadService, ingest),
  };
}

export type Clients = ReturnType<typeof clientsOf>;

export async function startRun(clients: Clients, workflow = "release"): Promise<string> {
  const { run } = await clients.runs.create({ project: "shop", workflow });
  if (run === undefined) throw new Error("no run was started");
  return run.id;
}

/** The newest upload in that state; undefined: there is none. */
export async function uploadIn(clients: Clients, state: UploadState): Promise<Upload | undefined> {
  return (await clients.uploads.list({ state })).uploads[0];
}

/** All chunks of a Download, in one. */
export async function download(clients: Clients, digest: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const { part } of clients.attestations.download({ by: { case: "digest", value: digest } })) {
    if (part.case === "chunk") chunks.push(part.value);
  }
  return Buffer.concat(chunks);
}

/** Asks again until the answer is as wanted; fails with the last one when the time is over. */
export async function eventually<T>(
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  withinMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${withinMs / 1_000} s; the last answer was ${String(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
