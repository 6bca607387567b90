import { setTimeout as sleep } from "node:timers/promises";
import type { ScrubPass } from "@attestry/api/cas";
import { ReferenceService } from "@attestry/api/ingest";
import {
  CredentialService,
  type CredentialServiceIssueCasTokenResponseSchema,
  OrganizationService,
  TokenService,
} from "@attestry/api/run";
import {
  type CasBackend,
  type CasSpace,
  connectErrorOf,
  createLogger,
  createMetrics,
  DomainError,
  Keyring,
} from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import {
  backendUnavailable,
  type ListedBlob,
  type OpenBlob,
  type Range,
  type StoredBlob,
  type WriteOptions,
  type WriteOutcome,
} from "../src/backends/backend.ts";
import type { BlobRef } from "../src/blobs/blob-ref.ts";
import { blobKey } from "../src/blobs/key.ts";
import { Proofs } from "../src/blobs/proofs.ts";
import { Suspects } from "../src/blobs/suspects.ts";
import { Organizations } from "../src/scrub/organizations.ts";
import { References } from "../src/scrub/references.ts";
import { Scrubber, type ScrubberOptions } from "../src/scrub/scrubber.ts";
import { readState } from "../src/scrub/state.ts";
import { createScrubTelemetry } from "../src/scrub/telemetry.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { acme, globex, type Organization } from "./harness.ts";
import { MemoryBackend, MemoryStore } from "./memory-backend.ts";

/** A backend in memory, to be looked into, spoiled and taken away. */
export class FakeBackend extends MemoryBackend {
  readonly store: MemoryStore;
  /** Keys of blobs as they were read, without the scrubber's own state. */
  readonly reads: string[] = [];
  readonly sweeps: Date[] = [];
  canSetAside = true;
  /** Called first; what they throw is the answer. The first only for blobs, not for the scrubber's own state. */
  beforeRead: (key: string) => void | Promise<void> = () => undefined;
  beforeDescribe: (key: string) => void | Promise<void> = () => undefined;
  beforeWrite: (key: string) => void | Promise<void> = () => undefined;
  beforeList: () => void = () => undefined;
  /** What describe makes of what is there. */
  sees: (key: string, described: StoredBlob | undefined) => StoredBlob | undefined = (_key, described) => described;

  constructor(store = new MemoryStore()) {
    super(store);
    this.store = store;
  }

  /** Puts bytes where the blob belongs; other bytes than the blob's spoil it. */
  put(space: CasSpace, { hex, bytes }: { hex: string; bytes: Buffer }, other = bytes): string {
    const key = blobKey(space, hex);
    this.store.blobs.set(key, { bytes: other, storedAt: new Date() });
    return key;
  }

  bytesAt(key: string): Buffer | undefined {
    return this.store.blobs.get(key)?.bytes;
  }

  override async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    await this.beforeDescribe(key);
    return this.sees(key, await super.describe(key, signal));
  }

  override async read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    if (!key.startsWith("scrub/")) {
      this.reads.push(key);
      await this.beforeRead(key);
    }
    return super.read(key, range, signal);
  }

  override async write(
    key: string,
    blob: BlobRef,
    source: AsyncIterable<Uint8Array>,
    options: WriteOptions,
  ): Promise<WriteOutcome> {
    await this.beforeWrite(key);
    return super.write(key, blob, source, options);
  }

  override async setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    return this.canSetAside && super.setAside(key, blob, signal);
  }

  override async *list(folder: string, after: string, signal: AbortSignal): AsyncGenerator<ListedBlob, void, void> {
    this.beforeList();
    yield* super.list(folder, after, signal);
  }

  override async sweep(before: Date, signal: AbortSignal): Promise<number> {
    this.sweeps.push(before);
    return super.sweep(before, signal);
  }
}

export function away(): never {
  throw backendUnavailable("the store is away", undefined);
}

export function backendNamed(name: string, index: number): CasBackend {
  const id = `01930000-0000-7000-8000-0000000000${(0xb0 + index).toString(16)}`;
  return { id, name, provider: "filesystem", secretRef: `_shared/${name}`, prefix: "" };
}

export interface Peers {
  keyrings: Awaited<ReturnType<typeof Keyring.generate>>;
  run: Transport;
  ingest: Transport;
  /** Hex digests by backend id, in any order: what ought to be there. */
  references: Map<string, Set<string>>;
  /** Called before each list of references. */
  beforeReferences: (after: string) => void;
  /** How often workflow-run was asked for organizations. */
  lists: number;
}

/** A workflow-run with organizations that have these backends, and an attestation-ingest. Organizations without any have an inline one. */
export async function startPeers(
  owned: readonly { organization: Organization; backends: CasBackend[] }[],
): Promise<Peers> {
  const keyrings = await Keyring.generate();
  const references = new Map<string, Set<string>>();
  const run = createRouterTransport((router) => {
    router.service(TokenService, { listRevoked: () => ({ tokenIds: [], nextCursor: 1n, more: false }) });
    router.rpc(OrganizationService.method.list, ({ pageToken }) => {
      peers.lists++;
      const index = Number(pageToken);
      const nextPageToken = index + 1 < owned.length ? String(index + 1) : "";
      return { organizations: owned.slice(index, index + 1).map(({ organization }) => organization), nextPageToken };
    });
    router.service(CredentialService, {
      issueCasToken: async (
        request,
      ): Promise<MessageInitShape<typeof CredentialServiceIssueCasTokenResponseSchema>> => {
        if (request.purpose.case !== "service") throw new Error("the gateway asks as a service");
        const { organizationId, backendName } = request.purpose.value;
        const found = owned.find(({ organization }) => organization.id === organizationId);
        const backends = found?.backends.filter(({ name }) => backendName === "" || backendName === name) ?? [];
        if (backends.length === 0)
          throw connectErrorOf(new DomainError(backendName === "" ? "BACKEND_INLINE" : "BACKEND_NOT_FOUND", "none"));
        const { token } = await keyrings["workflow-run"].issueCasToken({
          ...{ organizationId, organization: found?.organization.name ?? "", role: "manager", space: "bundles" },
          ...{ backends, maxBytes: 1024 },
        });
        return { token, backendNames: backends.map(({ name }) => name) };
      },
    });
  });
  const ingest = createRouterTransport((router) => {
    router.service(ReferenceService, {
      listBundles: ({ backendId, afterDigest, pageSize }) => {
        peers.beforeReferences(afterDigest);
        const all = [...(references.get(backendId) ?? [])].map((hex) => `sha256:${hex}`);
        const page = all.filter((digest) => digest > afterDigest).sort();
        return { bundles: page.slice(0, pageSize).map((digest) => ({ digest, sizeBytes: 1n })) };
      },
    });
  });
  const peers: Peers = { keyrings, run, ingest, references, beforeReferences: () => undefined, lists: 0 };
  return peers;
}

/** Scrubbers over backends in memory, as replicas of one gateway. */
export interface World {
  peers: Peers;
  /** By the names of the backends. */
  backends: Map<string, FakeBackend>;
  metrics: Registry;
  scrubber(options?: Partial<Pick<ScrubberOptions, "times" | "references">> & { config?: object }): Scrubber;
  /** The passes of a backend as its report has them. */
  passes(name: string): Promise<{ current?: ScrubPass | undefined; last?: ScrubPass | undefined }>;
  /** Runs a scrubber until each backend's pass has ended, and ends it. */
  pass(options?: Parameters<World["scrubber"]>[0]): Promise<void>;
  destroy(): Promise<void>;
}

const never = new AbortController().signal;

/** One organization with backends of these names, the first of them its default. */
export async function createWorld(names: readonly string[] = ["one", "two"]): Promise<World> {
  const named = names.map(backendNamed);
  const backends = new Map(names.map((name) => [name, new FakeBackend()]));
  const peers = await startPeers([
    { organization: globex, backends: [] },
    { organization: acme, backends: named },
  ]);
  const metrics = createMetrics();
  const scrubTelemetry = createScrubTelemetry(metrics);
  const gatewayTelemetry = createTelemetry(metrics);
  const logger = createLogger({ name: "cas-gateway", level: "silent" });
  const scrubbers: Scrubber[] = [];
  const idOf = (name: string) => named.find((one) => one.name === name)?.id ?? "";
  const backendOf = (name: string) => {
    const found = backends.get(name);
    if (found === undefined) throw new Error(`no backend ${name}`);
    return found;
  };
  const world: World = {
    ...{ peers, backends, metrics },
    scrubber({ config, ...options } = {}) {
      const scrubber = new Scrubber({
        backends: { get: async (_organization, { name }) => backendOf(name) },
        proofs: new Proofs({ suspects: new Suspects(), telemetry: gatewayTelemetry }),
        references: new References({ ingest: peers.ingest, logger }),
        telemetry: scrubTelemetry,
        uploads: gatewayTelemetry,
        organizations: new Organizations({ run: peers.run, keyring: peers.keyrings["cas-gateway"] }),
        logger,
        config: { ...slowest, ...config },
        ...options,
        times: { roundMs: 20, retryMs: 20, ...options.times },
      });
      scrubbers.push(scrubber);
      return scrubber;
    },
    passes: async (name) => (await readState(backendOf(name), idOf(name), never)) ?? {},
    async pass(options) {
      const begins = () => Promise.all(names.map(async (name) => beginOf((await world.passes(name)).last)));
      const before = await begins();
      const scrubber = world.scrubber(options);
      scrubber.start();
      const haveEnded = async () => (await begins()).every((begin, i) => begin !== undefined && begin !== before[i]);
      await eventually(haveEnded, "a pass over each backend");
      await scrubber.destroy();
    },
    async destroy() {
      await Promise.all(scrubbers.map((scrubber) => scrubber.destroy()));
    },
  };
  return world;
}

function beginOf(pass: ScrubPass | undefined): number | undefined {
  return pass?.startedAt && timestampMs(pass.startedAt);
}

const slowest = { scrubBytesPerSecond: 2 ** 40, scrubPeriodMs: 3_600_000, uploadRetentionMs: 3_600_000 };

/** Waits until the check holds; fails after 10 s. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await sleep(5);
  }
}

/** Short words for what the tests do to a world. */
export function handle(current: () => World) {
  const backend = (name: string): FakeBackend => {
    const found = current().backends.get(name);
    if (found === undefined) throw new Error(`no backend ${name}`);
    return found;
  };
  const referred = (name: string): Set<string> => {
    const { backends, peers } = current();
    const { id } = backendNamed(name, [...backends.keys()].indexOf(name));
    const known = peers.references.get(id) ?? new Set();
    peers.references.set(id, known);
    return known;
  };
  return {
    backend,
    /** Says that attestations refer to these bundles in that backend. */
    refer: (name: string, ...blobs: { hex: string }[]) => blobs.forEach(({ hex }) => void referred(name).add(hex)),
    dereference: (name: string, { hex }: { hex: string }) => void referred(name).delete(hex),
    last: async (name: string): Promise<ScrubPass> => {
      const { last } = await current().passes(name);
      if (last === undefined) throw new Error("no pass has ended");
      return last;
    },
  };
}
