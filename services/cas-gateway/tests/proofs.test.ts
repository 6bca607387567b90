import { setTimeout as sleep } from "node:timers/promises";
import { type CasPrincipal, createMetrics, DomainError } from "@attestry/service-kit";
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { OpenBlob, Resumable } from "../src/backends/backend.ts";
import { blobKey } from "../src/blobs/key.ts";
import { type Place, Proofs } from "../src/blobs/proofs.ts";
import { storeBlob } from "../src/blobs/store-blob.ts";
import type { StoredBlobs } from "../src/blobs/stored-blobs.ts";
import { Suspects } from "../src/blobs/suspects.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { acme, backendOf, randomBlob, type TestBlob } from "./harness.ts";
import { MemoryBackend, MemoryStore } from "./memory-backend.ts";

const { signal } = new AbortController();

/** Counts its reads, holds them back, and tells what was to be kept. */
class WatchedBackend extends MemoryBackend {
  reads = 0;
  aborted = 0;
  gate: Promise<void> = Promise.resolve();
  asideGate: Promise<void> = Promise.resolve();
  resumable: Resumable | undefined;

  override async read(...[key, range, asked]: Parameters<MemoryBackend["read"]>): Promise<OpenBlob | undefined> {
    this.reads++;
    asked.addEventListener("abort", () => this.aborted++);
    await Promise.race([this.gate, new Promise((_, reject) => asked.addEventListener("abort", reject))]);
    return super.read(key, range, asked);
  }

  override async setAside(...asked: Parameters<MemoryBackend["setAside"]>): Promise<boolean> {
    await this.asideGate;
    return super.setAside(...asked);
  }

  override write(...asked: Parameters<MemoryBackend["write"]>): ReturnType<MemoryBackend["write"]> {
    this.resumable = asked[3].resumable;
    return super.write(...asked);
  }
}

let store: MemoryStore;
let backend: WatchedBackend;
let suspects: Suspects;
let proofs: Proofs;
const telemetry = createTelemetry(createMetrics());
beforeEach(() => {
  store = new MemoryStore();
  backend = new WatchedBackend(store);
  suspects = new Suspects();
  proofs = new Proofs({ suspects, telemetry });
});

const named = backendOf({ provider: "filesystem" });
const keyOf = ({ hex }: TestBlob) => blobKey("blobs", hex);
const placeOf = (blob: TestBlob): Place => ({ organization: acme.name, named, backend, key: keyOf(blob) });
const put = (blob: TestBlob, bytes = blob.bytes, storedAt = new Date()) =>
  store.blobs.set(keyOf(blob), { bytes, storedAt });

describe("proofs", () => {
  test("those who ask at once share one read, and then nobody reads", async () => {
    const blob = randomBlob(1_000);
    put(blob);
    const gate = Promise.withResolvers<void>();
    backend.gate = gate.promise;
    const asked = Array.from({ length: 20 }, () => proofs.isThere(placeOf(blob), blob, signal));
    await sleep(10);
    gate.resolve();
    expect(await Promise.all(asked)).toEqual(new Array(20).fill(true));
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
    expect(backend.reads).toBe(1);
  });

  test("one who goes away costs the others nothing, and the last ends the read", async () => {
    const blob = randomBlob(1_000);
    put(blob);
    const gate = Promise.withResolvers<void>();
    backend.gate = gate.promise;
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = [first, second].map((own) => proofs.isThere(placeOf(blob), blob, own.signal));
    await sleep(10);
    first.abort(new Error("gone"));
    await expect(asked[0]).rejects.toThrow("gone");
    expect(backend.aborted).toBe(0);
    second.abort(new Error("gone too"));
    await expect(asked[1]).rejects.toThrow("gone too");
    expect(backend.aborted).toBe(1);
    gate.resolve();
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
  });

  test("what was stored after the proof is another object", async () => {
    const blob = randomBlob(1_000);
    put(blob);
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
    put(blob, Buffer.alloc(1_000), new Date(Date.now() + 1_000));
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(false);
    expect(backend.reads).toBe(2);
    put(blob);
    proofs.forget(placeOf(blob));
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
    expect(backend.reads).toBe(3);
  });

  test("a store whose clock is ahead is read once, too", async () => {
    const blob = randomBlob(1_000);
    put(blob, blob.bytes, new Date(Date.now() + 60_000));
    for (let i = 0; i < 3; i++) expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
    expect(backend.reads).toBe(1);
  });

  test("a read that breaks off says nothing of what is stored", async () => {
    const blob = randomBlob(1_000);
    put(blob);
    backend.read = async () => ({ sizeBytes: 1_000, chunks: once(blob.bytes.subarray(0, 9)), close });
    await expect(proofs.isThere(placeOf(blob), blob, signal)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect(suspects.has(acme.name, named, keyOf(blob))).toBe(false);
    expect(store.blobs.has(keyOf(blob))).toBe(true);
  });

  test("a write that ends while a wrong object is set aside is answered after that, and is known", async () => {
    const blob = randomBlob(1_000);
    put(blob, Buffer.alloc(1_000));
    const gate = Promise.withResolvers<void>();
    backend.asideGate = gate.promise;
    const condemning = proofs.condemn(placeOf(blob), blob, Date.now());
    await sleep(5);
    put(blob);
    const writing = proofs.addWritten(placeOf(blob), blob, signal).then(() => "answered");
    expect(await Promise.race([writing, sleep(20, "waits")])).toBe("waits");
    gate.resolve();
    await condemning;
    expect(await writing).toBe("answered");
    expect(suspects.has(acme.name, named, keyOf(blob))).toBe(false);
    expect(await proofs.isThere(placeOf(blob), blob, signal)).toBe(true);
    expect(backend.reads).toBe(0);
  });
});

describe("a write that breaks off", () => {
  const upload = { id: crypto.randomUUID(), offset: 0 };
  const caller: CasPrincipal = {
    ...{ kind: "cas", role: "uploader", space: "blobs", maxBytes: 1_000_000 },
    ...{ organizationId: acme.id, organization: acme.name, backends: [named] },
  };
  const blobs = (): Pick<StoredBlobs, "uploadPlace"> => ({
    uploadPlace: async (_caller, hex) => ({ organization: acme.name, named, backend, key: blobKey("blobs", hex) }),
  });
  async function breakOff(fault: unknown, whole = false): Promise<boolean | undefined> {
    const blob = randomBlob(100);
    async function* body() {
      yield blob.bytes.subarray(0, 50);
      throw fault;
    }
    const context = { blobs: blobs(), proofs, telemetry };
    await expect(storeBlob(context, { caller, blob, body: body(), whole, signal, upload })).rejects.toBe(fault);
    return backend.resumable?.keepAfter(fault);
  }

  test.each([
    "WRITE_UNFINISHED",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "SHUTTING_DOWN",
    "BACKEND_UNAVAILABLE",
    "BACKEND_FULL",
  ] as const)("%s: what came is kept", async (code) => {
    expect(await breakOff(new DomainError(code, "why"))).toBe(true);
  });

  test.each(["SIZE_MISMATCH", "DIGEST_MISMATCH", "WRITE_OFFSET_INVALID", "RESOURCE_NAME_INVALID"] as const)(
    "%s: nothing is kept",
    async (code) => {
      expect(await breakOff(new DomainError(code, "why"))).toBe(false);
    },
  );

  test("any other fault: what came is kept; but of one message nothing", async () => {
    expect(await breakOff(new Error("the socket hung up"))).toBe(true);
    expect(await breakOff(new Error("the socket hung up"), true)).toBeUndefined();
  });
});

async function close(): Promise<void> {}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, void> {
  yield bytes;
}
