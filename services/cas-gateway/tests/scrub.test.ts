import { ScrubFault } from "@attestry/api/cas";
import { afterEach, describe, expect, test } from "@jest/globals";
import { blobKey } from "../src/blobs/key.ts";
import { randomBlob, type TestBlob } from "./blobs.ts";
import { away, createWorld, eventually, handle, type World } from "./scrub-world.ts";

let world: World;
afterEach(() => world.destroy());

const { backend, refer, last } = handle(() => world);
const again = { config: { scrubPeriodMs: 1 } };

function flipped({ bytes }: TestBlob): Buffer {
  const copy = Buffer.from(bytes);
  const middle = copy.byteLength >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

describe("a pass", () => {
  test("proves all that is stored in both key spaces, and nothing beside them", async () => {
    world = await createWorld();
    const blobs = [randomBlob(0), randomBlob(1), randomBlob(200_000)];
    for (const blob of blobs) backend("one").put("blobs", blob);
    const bundle = randomBlob(10);
    backend("one").put("bundles", bundle);
    backend("one").store.blobs.set("probes/x", { bytes: Buffer.from("x"), storedAt: new Date() });
    backend("one").store.blobs.set("blobs/no/ne/of-them", { bytes: Buffer.from("x"), storedAt: new Date() });
    await world.pass();
    expect(await last("one")).toMatchObject({
      ...{ blobsVerified: 4n, bytesVerified: 200_011n, corrupt: 0n, missing: 0n, repaired: 0n, findings: [] },
      position: blobKey("bundles", bundle.hex),
    });
    expect(await last("two")).toMatchObject({ blobsVerified: 0n, position: "" });
    expect(backend("one").reads).toHaveLength(4);
    const metric = await world.metrics.getSingleMetric("cas_gateway_scrub_bytes_verified_total")?.get();
    expect(metric?.values).toEqual([{ labels: { provider: "filesystem" }, value: 200_011 }]);
  });

  test("sweeps again when that is due, however far the next pass is", async () => {
    world = await createWorld(["one"]);
    world.scrubber({ config: { uploadRetentionMs: 400 }, times: { roundMs: 60_000 } }).start();
    await eventually(() => backend("one").sweeps.length > 2, "more sweeps");
  });

  test("sweeps what is left of uploads, too", async () => {
    world = await createWorld(["one"]);
    const before = Date.now() - 60_000;
    await world.pass({ config: { uploadRetentionMs: 60_000 } });
    const [date] = backend("one").sweeps;
    expect(date?.getTime()).toBeGreaterThanOrEqual(before);
    expect(date?.getTime()).toBeLessThanOrEqual(Date.now() - 60_000);
  });

  test("begins a period after the last one began, whoever made that", async () => {
    world = await createWorld(["one"]);
    backend("one").put("blobs", randomBlob(10));
    await world.pass();
    const { startedAt } = await last("one");
    const scrubber = world.scrubber();
    const { lists } = world.peers;
    scrubber.start();
    await eventually(() => world.peers.lists > lists + 6, "it looked around");
    expect((await last("one")).startedAt).toEqual(startedAt);
    expect(backend("one").reads).toHaveLength(1);
    await scrubber.destroy();
    await world.pass(again);
    expect((await last("one")).startedAt).not.toEqual(startedAt);
  });
});

describe("a corrupt blob", () => {
  test.each(["blobs", "bundles"] as const)("in %s is set aside, and repaired from another backend", async (space) => {
    world = await createWorld();
    const blob = randomBlob(100_000);
    const key = backend("one").put(space, blob, flipped(blob));
    // The other key space of another backend is as good.
    backend("two").put(space === "blobs" ? "bundles" : "blobs", blob);
    refer("one", ...(space === "bundles" ? [blob] : []));
    await world.pass();
    expect(backend("one").bytesAt(key)?.equals(blob.bytes)).toBe(true);
    expect([...backend("one").store.blobs.keys()].filter((one) => one.startsWith("corrupt/"))).toHaveLength(1);
    const finding = { fault: ScrubFault.CORRUPT, digest: blob.digest, space, repaired: true };
    expect(await last("one")).toMatchObject({ corrupt: 1n, missing: 0n, repaired: 1n, findings: [finding] });
  });

  test("of another size, cut short or empty, is found as well", async () => {
    world = await createWorld();
    const blobs = [randomBlob(100), randomBlob(100), randomBlob(100)];
    const wrong = [
      Buffer.concat([blobs[0]?.bytes ?? Buffer.of(), Buffer.of(0)]),
      blobs[1]?.bytes.subarray(1),
      Buffer.of(),
    ];
    for (const [i, blob] of blobs.entries()) {
      backend("one").put("blobs", blob, wrong[i]);
      backend("two").put("blobs", blob);
    }
    await world.pass();
    expect(await last("one")).toMatchObject({ corrupt: 3n, repaired: 3n, blobsVerified: 0n });
  });

  test("where nothing can be set aside is written over", async () => {
    world = await createWorld();
    const blob = randomBlob(100);
    backend("one").canSetAside = false;
    const key = backend("one").put("blobs", blob, flipped(blob));
    backend("two").put("blobs", blob);
    await world.pass();
    expect(backend("one").bytesAt(key)?.equals(blob.bytes)).toBe(true);
  });

  test("that the backend knows by another size, or has without its bytes, is corrupt", async () => {
    world = await createWorld();
    const [sized, dangling] = [randomBlob(100), randomBlob(100)];
    for (const blob of [sized, dangling]) {
      backend("one").put("blobs", blob);
      backend("two").put("blobs", blob);
    }
    const [sizedKey, danglingKey] = [blobKey("blobs", sized.hex), blobKey("blobs", dangling.hex)];
    const written = new Set<string>();
    backend("one").beforeWrite = (key) => void written.add(key);
    backend("one").sees = (key, described) => {
      if (written.has(key)) return described;
      if (key === sizedKey) return described && { ...described, sizeBytes: 99 };
      return key === danglingKey ? { sizeBytes: 100, storedAt: new Date() } : described;
    };
    backend("one").beforeRead = (key) => {
      if (key === danglingKey) backend("one").store.blobs.delete(key);
    };
    backend("one").canSetAside = false;
    await world.pass();
    expect(await last("one")).toMatchObject({ corrupt: 2n, repaired: 2n, blobsVerified: 0n });
    expect([...written]).toEqual(expect.arrayContaining([sizedKey, danglingKey]));
  });

  test("that is corrupt in each backend stays a finding, pass after pass, until it is stored again", async () => {
    world = await createWorld();
    const blob = randomBlob(100);
    const key = backend("one").put("blobs", blob, flipped(blob));
    backend("two").put("blobs", blob, Buffer.from("something else"));
    const finding = { fault: ScrubFault.CORRUPT, digest: blob.digest, repaired: false };
    for (let pass = 0; pass < 3; pass++) {
      await world.pass(pass === 0 ? {} : again);
      for (const name of ["one", "two"])
        expect(await last(name)).toMatchObject({ corrupt: 1n, repaired: 0n, findings: [finding] });
    }
    backend("one").put("blobs", blob);
    // Two of them: in the first one, the other backend may come before it is stored there.
    for (let pass = 0; pass < 2; pass++) await world.pass(again);
    await eventually(
      async () => (await last("two")).corrupt === 0n || backend("two").bytesAt(key) !== undefined,
      "repair",
    );
    await world.pass(again);
    for (const name of ["one", "two"]) expect(backend(name).bytesAt(key)?.equals(blob.bytes)).toBe(true);
  });

  test("is not lost sight of if the scrubber dies after it was set aside", async () => {
    world = await createWorld();
    const blob = randomBlob(100);
    const key = backend("one").put("blobs", blob, flipped(blob));
    backend("two").put("blobs", blob);
    const hung = Promise.withResolvers<void>();
    backend("two").beforeRead = () => {
      hung.resolve();
      return new Promise(() => undefined);
    };
    world.scrubber({ times: { leaseMs: 200 } }).start();
    await hung.promise;
    expect(backend("one").bytesAt(key)).toBeUndefined();
    // What hangs stays as it is; another process takes over, which does not meet the blob any more.
    backend("two").beforeRead = () => undefined;
    await world.pass();
    expect(await last("one")).toMatchObject({
      corrupt: 1n,
      repaired: 1n,
      findings: [{ digest: blob.digest, repaired: true }],
    });
    expect(backend("one").bytesAt(key)?.equals(blob.bytes)).toBe(true);
  });

  test("is repaired at the end of the pass from a backend that was away", async () => {
    world = await createWorld();
    const blobs = [randomBlob(100), randomBlob(100)].sort((a, b) => (a.hex < b.hex ? -1 : 1));
    const [first, second] = blobs as [TestBlob, TestBlob];
    const key = backend("one").put("blobs", first, flipped(first));
    backend("one").put("blobs", second);
    backend("two").put("bundles", first);
    backend("two").beforeRead = away;
    backend("one").beforeRead = (read) => {
      if (read.endsWith(second.hex)) backend("two").beforeRead = () => undefined;
    };
    await world.pass();
    expect(await last("one")).toMatchObject({ corrupt: 1n, repaired: 1n, findings: [{ repaired: true }] });
    expect(backend("one").bytesAt(key)?.equals(first.bytes)).toBe(true);
  });

  test("a bundle that nothing refers to is not brought back: gc may be at it", async () => {
    world = await createWorld();
    const blob = randomBlob(100);
    const key = backend("one").put("bundles", blob, flipped(blob));
    backend("two").put("bundles", blob);
    await world.pass();
    expect(backend("one").bytesAt(key)).toBeUndefined();
    expect(await last("one")).toMatchObject({ corrupt: 1n, repaired: 0n });
  });

  test("a fault on the way is none: what is read once more and is right", async () => {
    world = await createWorld(["one"]);
    const blob = randomBlob(100);
    const key = backend("one").put("blobs", blob, flipped(blob));
    backend("one").beforeRead = () => {
      if (backend("one").reads.length === 2) backend("one").put("blobs", blob);
    };
    await world.pass();
    expect(await last("one")).toMatchObject({ corrupt: 0n, blobsVerified: 1n });
    expect(backend("one").bytesAt(key)?.equals(blob.bytes)).toBe(true);
  });

  test("one that can never be read is taken for corrupt at last, and holds up nothing", async () => {
    world = await createWorld();
    const blobs = [randomBlob(10), randomBlob(10), randomBlob(10)].sort((a, b) => (a.hex < b.hex ? -1 : 1));
    for (const blob of blobs) backend("one").put("blobs", blob);
    const bad = blobs[1]?.hex ?? "";
    backend("one").beforeRead = (key) => {
      if (key.endsWith(bad)) away();
    };
    await world.pass();
    expect(await last("one")).toMatchObject({
      corrupt: 1n,
      blobsVerified: 2n,
      findings: [{ digest: `sha256:${bad}` }],
    });
    expect(backend("one").reads.filter((key) => key.endsWith(blobs[2]?.hex ?? ""))).toHaveLength(1);
  });
});
