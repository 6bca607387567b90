import { type AuditEvent, AuditService } from "@attestry/api/audit";
import {
  CasSpace,
  CredentialService,
  type CredentialServiceIssueCasTokenResponseSchema,
  OrganizationService,
  TokenService,
} from "@attestry/api/run";
import { createLogger, createMetrics, Keyring, type RetentionBounds } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import type { Backend } from "../src/backends/backend.ts";
import { blobKey } from "../src/blobs/key.ts";
import { MaterialAudit } from "../src/retention/audit.ts";
import type { Expiry } from "../src/retention/expiry.ts";
import { MaterialSweeper } from "../src/retention/material-sweeper.ts";
import { createRetentionTelemetry } from "../src/retention/telemetry.ts";
import { Organizations } from "../src/scrub/organizations.ts";
import { chunksOf, type TestBlob } from "./blobs.ts";
import { acme, backendOf } from "./harness.ts";

export const daySeconds = 86_400;
const { signal } = new AbortController();

/** A sweeper over one backend of an organization whose bounds a test changes, and a workflow-run that keeps its events. */
export interface RetentionWorld {
  backend: Backend;
  /** To workflow-run. */
  run: Transport;
  /** The gateway's. */
  keyring: Keyring;
  /** Undefined: the organization asks for nothing. */
  bounds: RetentionBounds | undefined;
  /** `action sha256:...`, in the order in which they were recorded. */
  recorded: string[];
  /** Called before events are recorded. */
  beforeRecord: () => void | Promise<void>;
  write(blob: TestBlob, space?: "blobs" | "bundles"): Promise<string>;
  read(blob: TestBlob, space?: "blobs" | "bundles"): Promise<Buffer | undefined>;
  /** One sweep, as if it were so many days later where the blobs are. */
  sweep(days: number): Promise<void>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
}

/** Materials are out of sight for 35 days. Whatever a store does it does now, though: a test only says what time it tells. */
export async function createRetentionWorld(backend: Backend, provider: "filesystem" | "s3"): Promise<RetentionWorld> {
  const keyrings = await Keyring.generate();
  const named = backendOf({ provider });
  const run = createRouterTransport((router) => {
    router.service(TokenService, { listRevoked: () => ({ tokenIds: [], nextCursor: 1n, more: false }) });
    router.rpc(OrganizationService.method.list, () => ({ organizations: [acme], nextPageToken: "" }));
    router.service(AuditService, {
      record: async ({ events }) => {
        await world.beforeRecord();
        world.recorded.push(...events.map(textOf));
        return {};
      },
    });
    router.service(CredentialService, {
      issueCasToken: async (
        request,
      ): Promise<MessageInitShape<typeof CredentialServiceIssueCasTokenResponseSchema>> => {
        const { token } = await keyrings["workflow-run"].issueCasToken({
          ...{ organizationId: acme.id, organization: acme.name, role: "manager", maxBytes: 1024, backends: [named] },
          space:
            request.purpose.case === "service" && request.purpose.value.space === CasSpace.BLOBS ? "blobs" : "bundles",
          ...(world.bounds && { retention: world.bounds }),
        });
        return { token, backendNames: [named.name] };
      },
    });
  });
  const metrics = createMetrics();
  let days = 0;
  const sweeper = new MaterialSweeper({
    organizations: new Organizations({ run, keyring: keyrings["cas-gateway"] }),
    backends: { get: async () => inDays(backend, () => days) },
    audit: new MaterialAudit(run),
    telemetry: createRetentionTelemetry(metrics),
    logger: createLogger({ name: "cas-gateway", level: "silent" }),
    config: { retentionEveryMs: 0, retentionGraceMs: 35 * daySeconds * 1_000 },
  });
  const world: RetentionWorld = {
    ...{ run, keyring: keyrings["cas-gateway"] },
    ...{ backend, bounds: undefined, recorded: [], beforeRecord: () => undefined },
    write: (blob, space = "blobs") =>
      backend.write(blobKey(space, blob.hex), blob, chunksOf(blob.bytes, 1_000_000), { signal }),
    async read({ hex }, space = "blobs") {
      const opened = await backend.read(blobKey(space, hex), { offset: 0, length: undefined }, signal);
      const chunks: Buffer[] = [];
      for await (const chunk of opened?.chunks ?? []) chunks.push(chunk);
      await opened?.close();
      return opened && Buffer.concat(chunks);
    },
    async sweep(later) {
      days = later;
      await sweeper.sweepAll(signal);
    },
    async metric(name, labels = {}) {
      const values = (await metrics.getSingleMetric(name)?.get())?.values ?? [];
      const matching = values.filter((value) => Object.entries(labels).every(([key, is]) => value.labels[key] === is));
      return matching.reduce((sum, { value }) => sum + value, 0);
    },
  };
  return world;
}

function inDays(backend: Backend, days: () => number): Backend {
  const expiry = async (during: AbortSignal): Promise<Expiry | undefined> => {
    const found = await backend.expiry(during);
    return found && withOwn(found, { now: () => new Date(found.now().getTime() + days() * daySeconds * 1_000) });
  };
  return withOwn(backend, { expiry });
}

/** The same object, but for some of its methods. */
function withOwn<T extends object>(object: T, own: Partial<T>): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(name in own ? own : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** As workflow-run answers when it is away. */
export function away(): never {
  throw new ConnectError("away", Code.Unavailable);
}

function textOf({ action, actor, resource, detail }: AuditEvent): string {
  if (actor !== "service cas-gateway" || detail.backend !== "store" || Number.isNaN(Date.parse(detail.stored_at ?? "")))
    throw new Error(`not what an event should be: ${JSON.stringify({ actor, detail })}`);
  return `${action} ${resource.replace(/^blob /, "")}`;
}
