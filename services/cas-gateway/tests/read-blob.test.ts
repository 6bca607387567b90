import { type CasBackend, type CasPrincipal, createMetrics, type DomainError } from "@attestry/service-kit";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { type Backend, backendUnavailable, type OpenBlob } from "../src/backends/backend.ts";
import { blobKey } from "../src/blobs/key.ts";
import { Proofs } from "../src/blobs/proofs.ts";
import { readBlob } from "../src/blobs/read-blob.ts";
import { StoredBlobs } from "../src/blobs/stored-blobs.ts";
import { Suspects } from "../src/blobs/suspects.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { acme, backendOf, randomBlob, type TestBlob } from "./harness.ts";
import { MemoryBackend, MemoryStore } from "./memory-backend.ts";

const { signal } = new AbortController();
const telemetry = createTelemetry(createMetrics());

/** Breaks off once it has given so many chunks. */
class BreakingBackend extends MemoryBackend {
  chunks = 0;
  fault: DomainError | undefined;

  override async read(...asked: Parameters<MemoryBackend["read"]>): Promise<OpenBlob | undefined> {
    const opened = await super.read(...asked);
    const { chunks, fault } = this;
    if (opened === undefined || fault === undefined) return opened;
    async function* breaking(all: AsyncIterable<Buffer>) {
      let left = chunks;
      for await (const chunk of all) {
        if (left-- === 0) break;
        yield chunk;
      }
      throw fault;
    }
    return { ...opened, chunks: breaking(opened.chunks) };
  }
}

const named: CasBackend[] = ["first", "second"].map((name) => ({
  ...backendOf({ provider: "filesystem" }),
  ...{ name, prefix: name },
}));
const caller: CasPrincipal = {
  ...{ kind: "cas", role: "downloader", space: "blobs", maxBytes: 1 },
  ...{ organizationId: acme.id, organization: acme.name, backends: named },
};

let stores: MemoryStore[];
let backends: BreakingBackend[];
let suspects: Suspects;
let proofs: Proofs;
let blobs: StoredBlobs;
beforeEach(() => {
  stores = named.map(() => new MemoryStore());
  backends = stores.map((store) => new BreakingBackend(store));
  suspects = new Suspects();
  proofs = new Proofs({ suspects, telemetry });
  const pool = {
    getNamed: async (_organization: string, { name }: CasBackend): Promise<Backend> => backendNamed(name),
  };
  blobs = new StoredBlobs(pool, { suspects, proofs });
});

function backendNamed(name: string): BreakingBackend {
  const backend = backends[named.findIndex((one) => one.name === name)];
  if (backend === undefined) throw new Error(`no backend ${name}`);
  return backend;
}
function breakOff(name: string, chunks: number): DomainError {
  const fault = backendUnavailable(`${name} broke off`, undefined);
  Object.assign(backendNamed(name), { chunks, fault });
  return fault;
}
function put(blob: TestBlob, store: MemoryStore | undefined, bytes = blob.bytes): void {
  store?.blobs.set(blobKey("blobs", blob.hex), { bytes, storedAt: new Date() });
}
async function read(blob: TestBlob, offset = 0, limit = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob({ blobs, proofs, telemetry }, { caller, blob, offset, limit, signal }))
    chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("a backend that breaks off", () => {
  const blob = randomBlob(3_000_000);
  beforeEach(() => {
    for (const store of stores) put(blob, store);
  });

  test.each([
    ["the whole", 0, 0, 1],
    ["a part", 5, 2_000_000, 0],
  ])("before anything of %s was passed on: the next one is read", async (_what, offset, limit, chunks) => {
    breakOff("first", chunks);
    const came = await read(blob, offset, limit);
    expect(came.equals(blob.bytes.subarray(offset, limit === 0 ? undefined : offset + limit))).toBe(true);
  });

  test.each([
    ["the whole", 0, 0, 2],
    ["a part", 5, 2_000_000, 1],
  ])("after something of %s was passed on: that is the end", async (_what, offset, limit, chunks) => {
    const fault = breakOff("first", chunks);
    await expect(read(blob, offset, limit)).rejects.toMatchObject({
      message: `backend first: ${fault.message}`,
      metadata: { backend: "first" },
    });
  });

  test("and there is no other, or only a corrupt one: its fault is told", async () => {
    const fault = breakOff("first", 0);
    stores[1]?.blobs.clear();
    await expect(read(blob)).rejects.toMatchObject({
      message: `backend first: ${fault.message}`,
      metadata: { backend: "first" },
    });
    put(blob, stores[1], blob.bytes.subarray(1));
    await expect(read(blob)).rejects.toMatchObject({
      message: `backend first: ${fault.message}`,
      metadata: { backend: "first" },
    });
  });
});

describe("what was known to be there and is not when it is read", () => {
  const place = (blob: TestBlob) => ({
    ...{ organization: acme.name, backend: backendNamed("first"), key: blobKey("blobs", blob.hex) },
    named: named[0] ?? backendOf({}),
  });

  test("counts no longer, though it is still described, until it is written again", async () => {
    const blob = randomBlob(1_000);
    put(blob, stores[0]);
    proofs.add(place(blob), blob, Date.now() - 1_000);
    backendNamed("first").read = async () => undefined;
    await expect(read(blob)).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    expect(await blobs.missing(caller, [blob], signal)).toEqual([blob]);
    await proofs.addWritten(place(blob), blob, signal);
    expect(await blobs.missing(caller, [blob], signal)).toEqual([]);
  });

  test("stays known if it was written while it was opened", async () => {
    const blob = randomBlob(1_000);
    put(blob, stores[0]);
    backendNamed("first").read = async () => {
      proofs.add(place(blob), blob, Date.now() + 1);
      return undefined;
    };
    await expect(read(blob)).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    expect(await blobs.missing(caller, [blob], signal)).toEqual([]);
  });
});
