import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ScrubFault, ScrubService } from "@attestry/api/cas";
import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import {
  type CasBackend,
  createInProcessTransport,
  createLogger,
  createMetrics,
  type Role,
  readSettings,
  reasonOf,
  type ServiceModule,
} from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Registry } from "prom-client";
import type { Backend } from "../src/backends/backend.ts";
import { BackendPool } from "../src/backends/backend-pool.ts";
import { blobKey } from "../src/blobs/key.ts";
import { createCasGateway, settings } from "../src/index.ts";
import { Secrets } from "../src/secrets/secrets.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { acme, globex } from "./harness.ts";
import { backendNamed, eventually, type Peers, startPeers } from "./scrub-world.ts";
import { bucketStore, folderStore, type Store } from "./stores.ts";

const { signal } = new AbortController();
const whole = { offset: 0, length: undefined };
const folder: CasBackend = backendNamed("folder", 0);
const bucket: CasBackend = { ...backendNamed("bucket", 1), provider: "s3" };

let dir: string;
const stores = new Map<string, Store>();
let peers: Peers;
let pool: BackendPool;

function storeOf({ name }: CasBackend): Store {
  const store = stores.get(name);
  if (store === undefined) throw new Error(`no store ${name}`);
  return store;
}

async function startGateway(role: string, env: Record<string, string> = {}) {
  const keyFiles = { ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-" };
  const own = { CAS_SECRETS_DIR: dir, CAS_GATEWAY_ROLE: role, CAS_SCRUB_RATE: "1000000000" };
  const metrics = createMetrics();
  const gateway = await createCasGateway(readSettings(settings, { ...keyFiles, ...own, ...env }), {
    ...{ keyring: peers.keyrings["cas-gateway"], logger: createLogger({ name: "cas-gateway", level: "silent" }) },
    ...{ run: peers.run, ingest: peers.ingest, metrics },
  });
  await gateway.start();
  return { gateway, metrics };
}

async function put(named: CasBackend, space: "blobs" | "bundles", blob: TestBlob): Promise<void> {
  const backend = await pool.get(acme.name, named);
  await backend.write(blobKey(space, blob.hex), blob, chunksOf(blob.bytes, 1_000_000), { signal });
}

/** Other bytes in the place of a blob, as a broken disk has them. */
async function spoil(named: CasBackend, space: "blobs" | "bundles", blob: TestBlob): Promise<void> {
  const bytes = Buffer.from(blob.bytes);
  bytes.reverse();
  await storeOf(named).put(`${acme.name}/${blobKey(space, blob.hex)}`, bytes);
}

async function bytesAt(named: CasBackend, space: "blobs" | "bundles", { hex }: TestBlob): Promise<Buffer | undefined> {
  const backend: Backend = await pool.get(acme.name, named);
  const opened = await backend.read(blobKey(space, hex), whole, signal);
  if (opened === undefined) return undefined;
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of opened.chunks) chunks.push(chunk);
    return Buffer.concat(chunks);
  } finally {
    await opened.close();
  }
}

async function expectStored(named: CasBackend, space: "blobs" | "bundles", blob: TestBlob): Promise<void> {
  expect((await bytesAt(named, space, blob))?.equals(blob.bytes)).toBe(true);
}

async function clientOf(gateway: ServiceModule, role: Role, organization = acme) {
  const token = await peers.keyrings["workflow-run"].issueApiToken({
    ...{ tokenId: organization.id, organizationId: organization.id, organization: organization.name },
    ...{ role, instanceAdmin: false },
  });
  return clientWith(gateway, token);
}

function clientWith(gateway: ServiceModule, token: string) {
  const transport = createInProcessTransport(() => gateway, {
    keyring: peers.keyrings["workflow-run"],
    to: "cas-gateway",
  });
  const client = createClient(ScrubService, transport);
  const headers = { authorization: `Bearer ${token}` };
  return { getReport: (backendName = "") => client.getReport({ backendName }, { headers }) };
}

async function metricOf(metrics: Registry, name: string, labels: Record<string, string>): Promise<number> {
  const values = (await metrics.getSingleMetric(name)?.get())?.values ?? [];
  const fits = (found: Partial<Record<string, string | number>>) =>
    Object.entries(labels).every(([key, value]) => found[key] === value);
  return values.filter((value) => fits(value.labels)).reduce((sum, { value }) => sum + value, 0);
}

describeWith(["minio"], "a folder and a bucket of one organization", () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "attestry-scrub-"));
    await mkdir(join(dir, "_shared"));
    stores.set("folder", await folderStore());
    stores.set("bucket", await bucketStore());
    for (const [name, { secret }] of stores)
      await writeFile(join(dir, "_shared", `${name}.json`), JSON.stringify(secret));
    peers = await startPeers([
      { organization: acme, backends: [folder, bucket] },
      { organization: globex, backends: [] },
    ]);
    pool = new BackendPool({ secrets: new Secrets(dir), requestTimeoutMs: 5_000, uploadRetentionMs: 3_600_000 });
  });
  afterAll(async () => {
    pool.close();
    for (const store of stores.values()) await store.stop();
    await rm(dir, { recursive: true, force: true });
  });
  const right = [randomBlob(0), randomBlob(1_000), randomBlob(20_000_000)];
  const inFolder = [randomBlob(1_000), randomBlob(20_000_000)];
  const inBucket = [randomBlob(1_000), randomBlob(20_000_000)];
  const missing = randomBlob(5_000);
  const dangling = randomBlob(9_000_000);
  const lost = randomBlob(2_000);
  const gone = randomBlob(3_000);

  beforeAll(async () => {
    for (const named of [folder, bucket])
      for (const blob of [...right, ...inFolder, ...inBucket, lost]) await put(named, "bundles", blob);
    for (const blob of inFolder) await spoil(folder, "bundles", blob);
    for (const blob of inBucket) await spoil(bucket, "bundles", blob);
    for (const named of [folder, bucket]) await spoil(named, "bundles", lost);
    await put(bucket, "blobs", missing);
    await put(folder, "blobs", dangling);
    await put(bucket, "bundles", dangling);
    await removeData(dangling);
    const referred = [...right, ...inFolder, ...inBucket, missing, lost, gone];
    for (const { id } of [folder]) peers.references.set(id, new Set(referred.map(({ hex }) => hex)));
    const inBucketToo = [...right, ...inFolder, ...inBucket, dangling, lost];
    peers.references.set(bucket.id, new Set(inBucketToo.map(({ hex }) => hex)));
  });

  /** Takes away what a large blob's object in the bucket refers to. */
  async function removeData({ hex }: TestBlob): Promise<void> {
    const store = storeOf(bucket);
    const { bucket: name } = store.secret as { bucket: string };
    const data = (await store.content()).filter((key) => key.startsWith(`${acme.name}/data/`) && key.includes(hex));
    expect(data).toHaveLength(1);
    await minioClient(testMinio()).removeObjects(name, data);
  }

  test("are proven, and each is repaired from the other", async () => {
    const { gateway, metrics } = await startGateway("scrubber");
    try {
      const admin = await clientOf(gateway, "admin");
      const passes = async () => (await admin.getReport()).backends.map(({ last }) => last);
      await eventually(async () => (await passes()).every((pass) => pass !== undefined), "both passes have ended");
      for (const blob of inFolder) await expectStored(folder, "bundles", blob);
      for (const blob of inBucket) await expectStored(bucket, "bundles", blob);
      await expectStored(folder, "bundles", missing);
      await expectStored(bucket, "bundles", dangling);
      expect(await bytesAt(folder, "bundles", lost)).toBeUndefined();

      const { backends } = await admin.getReport();
      expect(backends.map(({ backendName }) => backendName)).toEqual(["folder", "bucket"]);
      const [ofFolder, ofBucket] = backends.map(({ last }) => last);
      expect(ofFolder).toMatchObject({ corrupt: 3n, missing: 2n, repaired: 3n });
      expect(ofBucket).toMatchObject({ corrupt: 4n, missing: 0n, repaired: 3n });
      const found = ofFolder?.findings.map(({ digest, fault, repaired }) => ({ digest, fault, repaired }));
      expect(found).toHaveLength(5);
      expect(found).toEqual(
        expect.arrayContaining([
          ...inFolder.map(({ digest }) => ({ digest, fault: ScrubFault.CORRUPT, repaired: true })),
          { digest: lost.digest, fault: ScrubFault.CORRUPT, repaired: false },
          { digest: missing.digest, fault: ScrubFault.MISSING, repaired: true },
          { digest: gone.digest, fault: ScrubFault.MISSING, repaired: false },
        ]),
      );
      const labels = { provider: "s3", fault: "corrupt" };
      expect(await metricOf(metrics, "cas_gateway_scrub_faults_total", labels)).toBe(4);
      expect(await metricOf(metrics, "cas_gateway_scrub_repaired_total", labels)).toBe(3);
      expect(await metricOf(metrics, "cas_gateway_scrub_blobs_verified_total", { provider: "filesystem" })).toBe(
        right.length + inBucket.length + 1,
      );
    } finally {
      await gateway.destroy();
    }
  }, 60_000);

  test("the next pass, of another process, finds only what is left to find", async () => {
    const { gateway } = await startGateway("all", { CAS_SCRUB_PERIOD: "50ms" });
    try {
      const admin = await clientOf(gateway, "admin");
      await eventually(async () => {
        const { backends } = await admin.getReport();
        const [ofFolder, ofBucket] = backends.map(({ last }) => last);
        // Both copies of one are corrupt, and set aside: it is missed now.
        return (
          ofFolder?.corrupt === 0n && ofFolder.missing === 2n && ofBucket?.corrupt === 0n && ofBucket.missing === 1n
        );
      }, "both have been passed again");
    } finally {
      await gateway.destroy();
    }
  }, 60_000);

  test("the report is for admins, of their own organization, and of one backend or all", async () => {
    const { gateway } = await startGateway("api");
    try {
      const admin = await clientOf(gateway, "admin");
      expect((await admin.getReport("bucket")).backends.map(({ backendName }) => backendName)).toEqual(["bucket"]);
      const reason = async (asked: Promise<unknown>) => {
        const error: unknown = await asked.catch((fault: unknown) => fault);
        return reasonOf(error) ?? reasonOf(error instanceof Error ? error.cause : undefined);
      };
      expect(await reason(admin.getReport("nowhere"))).toBe("RESOURCE_NAME_INVALID");
      for (const role of ["ci", "reader"] as const)
        expect(await reason((await clientOf(gateway, role)).getReport())).toBe("ROLE_INSUFFICIENT");
      expect(await reason((await clientOf(gateway, "admin", globex)).getReport())).toBe("BACKEND_INLINE");

      const claims = { organizationId: acme.id, organization: acme.name, space: "bundles", maxBytes: 1 } as const;
      const casToken = async (role: "manager" | "downloader", backends = [bucket]) =>
        (await peers.keyrings["workflow-run"].issueCasToken({ ...claims, role, backends })).token;
      const { backends } = await clientWith(gateway, await casToken("manager")).getReport();
      expect(backends.map(({ backendName, last }) => [backendName, last?.blobsVerified])).toEqual([
        ["bucket", expect.any(BigInt)],
      ]);
      expect(await reason(clientWith(gateway, await casToken("downloader")).getReport())).toBe("ROLE_INSUFFICIENT");
    } finally {
      await gateway.destroy();
    }
  });

  test("a gateway with the role api proves nothing", async () => {
    const { lists } = peers;
    const { gateway, metrics } = await startGateway("api", { CAS_SCRUB_PERIOD: "10ms" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await gateway.destroy();
    expect(peers.lists).toBe(lists);
    expect(await metricOf(metrics, "cas_gateway_scrub_blobs_verified_total", {})).toBe(0);
  });
});
