import { AttestationService } from "@attestry/api/ingest";
import {
  BackendService,
  ContractService,
  CraftingStateService,
  CredentialService,
  ProjectService,
  RunService,
  type RunServiceGetRequestSchema,
  SigningService,
  WorkflowService,
} from "@attestry/api/run";
import { type Reason, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";

/** The native API. Every call is made as the caller: with its token, so that it may do what it may do natively. */
export interface Native {
  attestations: Client<typeof AttestationService>;
  backends: Client<typeof BackendService>;
  contracts: Client<typeof ContractService>;
  credentials: Client<typeof CredentialService>;
  projects: Client<typeof ProjectService>;
  runs: Client<typeof RunService>;
  signing: Client<typeof SigningService>;
  states: Client<typeof CraftingStateService>;
  workflows: Client<typeof WorkflowService>;
}

/** @param run, ingest The two services; calls bring their own token. */
export function createNative({ run, ingest }: { run: Transport; ingest: Transport }): Native {
  return {
    attestations: createClient(AttestationService, ingest),
    backends: createClient(BackendService, run),
    contracts: createClient(ContractService, run),
    credentials: createClient(CredentialService, run),
    projects: createClient(ProjectService, run),
    runs: createClient(RunService, run),
    signing: createClient(SigningService, run),
    states: createClient(CraftingStateService, run),
    workflows: createClient(WorkflowService, run),
  };
}

/** How the native API is asked for a run. */
export type AskedRun = NonNullable<MessageInitShape<typeof RunServiceGetRequestSchema>["by"]>;

/** What a native answer always has. */
export function given<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`workflow-run answered without ${what}`);
  return value;
}

/** For the `catch` of a native call: undefined if it was refused for that reason; any other error goes on. */
export function unless(reason: Reason): (error: unknown) => undefined {
  return (error) => {
    if (reasonOf(error) !== reason) throw error;
  };
}

/** The options of native calls on behalf of whoever made this one; they end when it does. */
export function asCaller(call: HandlerContext): CallOptions {
  return { signal: call.signal, headers: { authorization: call.requestHeader.get("authorization") ?? "" } };
}
