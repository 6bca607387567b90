import { ByteStream } from "@attestry/api/bytestream";
import { WorkflowService } from "@attestry/api/run";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  createAuthenticator,
  createLogger,
  createMetrics,
  Keyring,
  type RunningServer,
  type ServiceModule,
  serve,
} from "../src/index.ts";

export const logger = createLogger({ name: "test", level: "silent" });

export const keyrings = await Keyring.generate();
const run = keyrings["workflow-run"];

export const adminClaims = {
  tokenId: "t1",
  organizationId: "o1",
  organization: "default",
  role: "admin",
  instanceAdmin: false,
} as const;
export const adminToken = await run.issueApiToken(adminClaims);

type Unary = Partial<ServiceImpl<typeof WorkflowService>>;
type Streams = Partial<ServiceImpl<typeof ByteStream>>;

/** WorkflowService and ByteStream with the handlers of a test; the methods it leaves out are unimplemented. */
export function fakeModule(handlers: Unary & Streams = {}, ready: () => Promise<void> = () => Promise.resolve()) {
  const module: ServiceModule = {
    name: "workflow-run",
    services: [WorkflowService, ByteStream],
    routes(router: ConnectRouter) {
      const { read, write, queryWriteStatus, ...workflows } = handlers;
      router.service(WorkflowService, workflows, { readMaxBytes: 1024 * 1024 });
      router.service(ByteStream, {
        ...(read && { read }),
        ...(write && { write }),
        ...(queryWriteStatus && { queryWriteStatus }),
      });
    },
    access: {
      "attestry.run.v1.WorkflowService/FindOrCreate": { api: "ci", services: ["attestation-ingest"] },
      "attestry.run.v1.WorkflowService/Get": { api: "reader", services: ["attestation-ingest"] },
      "attestry.run.v1.WorkflowService/List": { api: "reader", services: ["attestation-ingest"] },
      "google.bytestream.ByteStream/Read": { api: "reader", services: ["attestation-ingest"] },
      "google.bytestream.ByteStream/Write": { api: "ci", services: ["attestation-ingest"] },
      "google.bytestream.ByteStream/QueryWriteStatus": { api: "reader" },
    },
    authenticator: createAuthenticator({ keyring: run }),
    ready,
    start: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
  return module;
}

export function serveModule(module: ServiceModule, port = 0): Promise<RunningServer> {
  return serve({ modules: [module], listen: { host: "127.0.0.1", port }, logger, metrics: createMetrics() });
}

/** Resolves when the call that it belongs to is aborted, with the reason. */
export function aborted(context: HandlerContext): Promise<unknown> {
  return new Promise((resolve) => {
    if (context.signal.aborted) resolve(context.signal.reason);
    context.signal.addEventListener("abort", () => resolve(context.signal.reason), { once: true });
  });
}
