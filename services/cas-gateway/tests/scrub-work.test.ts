import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { ListedBlob } from "../src/backends/backend.ts";
import { blobKey } from "../src/blobs/key.ts";
import { RateLimit } from "../src/scrub/rate-limit.ts";
import { randomBlob, type TestBlob } from "./blobs.ts";
import { away, backendNamed, createWorld, eventually, FakeBackend, handle, type World } from "./scrub-world.ts";

let world: World;
afterEach(() => world.destroy());

const { backend } = handle(() => world);

function fill(name: string, count: number, sizeBytes = 100): TestBlob[] {
  const blobs = Array.from({ length: count }, () => randomBlob(sizeBytes));
  for (const blob of blobs) backend(name).put("blobs", blob);
  return blobs;
}

describe("the scrubber goes on where it was", () => {
  test("after it was ended in the middle: no blob is read twice", async () => {
    world = await createWorld(["one"]);
    fill("one", 300);
    const first = world.scrubber();
    const reads = backend("one").reads;
    const readOn = Promise.withResolvers<void>();
    backend("one").beforeRead = async () => {
      if (reads.length === 120) await readOn.promise;
    };
    first.start();
    await eventually(() => reads.length === 120, "it is in the middle");
    const ending = first.destroy();
    readOn.resolve();
    await ending;
    expect((await world.passes("one")).current).toMatchObject({ blobsVerified: 119n });
    await world.pass();
    // The one that was under way is read anew.
    expect(reads).toHaveLength(301);
    expect(new Set(reads).size).toBe(300);
    expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 300n });
  });

  test("after it was killed: what was done since it last said where it was is done again, once its lease is over", async () => {
    world = await createWorld(["one"]);
    fill("one", 300);
    const { reads } = backend("one");
    const times = { leaseMs: 400 };
    const killed = world.scrubber({ times });
    // It says where it is each 100 ms, and then hangs for good: nothing more is heard of it.
    let isDead = false;
    backend("one").beforeRead = async () => {
      if (reads.length === 200 && !isDead) {
        isDead = true;
        await new Promise(() => undefined);
      }
      await sleep(1);
    };
    killed.start();
    await eventually(() => isDead, "it hangs");
    const { current } = await world.passes("one");
    const saved = Number(current?.blobsVerified);
    expect(saved).toBeGreaterThan(20);
    const begin = Date.now();
    await world.pass({ times });
    expect(Date.now() - begin).toBeGreaterThan(100);
    expect((await world.passes("one")).last?.startedAt).toEqual(current?.startedAt);
    expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 300n });
    expect(reads).toHaveLength(200 + 300 - saved);
  });

  test("after its backend was away", async () => {
    world = await createWorld(["one"]);
    fill("one", 100);
    const { reads } = backend("one");
    let faults = 0;
    backend("one").beforeRead = () => {
      if (reads.length % 30 === 0 && faults++ < 3) away();
    };
    await world.pass();
    expect(faults).toBeGreaterThanOrEqual(3);
    expect(reads).toHaveLength(103);
    expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 100n, corrupt: 0n });
  });

  test("one backend that is away, or cannot be listed, does not hold up the others", async () => {
    world = await createWorld(["one", "two"]);
    fill("two", 10);
    backend("one").beforeList = away;
    const scrubber = world.scrubber();
    scrubber.start();
    await eventually(async () => (await world.passes("two")).last !== undefined, "the other is done");
    expect((await world.passes("one")).last).toBeUndefined();
    backend("one").beforeList = () => undefined;
    await eventually(async () => (await world.passes("one")).last !== undefined, "it is done when it is back");
  });

  test("each backend has its turn", async () => {
    world = await createWorld(["one", "two"]);
    fill("one", 1_000);
    fill("two", 3);
    backend("one").beforeRead = async () => sleep(5);
    const scrubber = world.scrubber({ times: { turnMs: 50 } });
    scrubber.start();
    await eventually(async () => (await world.passes("two")).last !== undefined, "the small one is done");
    expect(backend("one").reads.length).toBeLessThan(100);
    await eventually(() => backend("one").reads.length > 100, "the large one goes on");
    expect(new Set(backend("one").reads).size).toBe(backend("one").reads.length);
  });

  test("a state that cannot be read begins a pass anew", async () => {
    world = await createWorld(["one"]);
    fill("one", 3);
    for (const text of ["", "{", '{"version":9}', "null", '{"version":1,"current":7}']) {
      const bytes = Buffer.from(text);
      backend("one").store.blobs.set(`scrub/${backendNamed("one", 0).id}`, { bytes, storedAt: new Date() });
      await world.pass();
      expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 3n });
    }
  });
});

describe("two scrubbers", () => {
  test("share the work, and do none twice", async () => {
    world = await createWorld(["one", "two", "three"]);
    for (const name of ["one", "two", "three"]) {
      fill(name, 200);
      backend(name).beforeRead = async () => sleep(1);
    }
    const both = [world.scrubber(), world.scrubber()];
    for (const scrubber of both) scrubber.start();
    for (const name of ["one", "two", "three"]) {
      await eventually(async () => (await world.passes(name)).last !== undefined, `${name} is done`);
      expect((await world.passes(name)).last).toMatchObject({ blobsVerified: 200n, corrupt: 0n });
      expect(backend(name).reads).toHaveLength(200);
    }
  });

  test("of which one lost its lease: it leaves the backend to the other", async () => {
    world = await createWorld(["one"]);
    fill("one", 200);
    const times = { leaseMs: 40 };
    const slow = world.scrubber({ times });
    const { reads } = backend("one");
    let hung = false;
    backend("one").beforeRead = async () => {
      if (reads.length === 50 && !hung) {
        hung = true;
        await sleep(200);
      } else await sleep(2);
    };
    slow.start();
    await eventually(() => hung, "the first hangs");
    world.scrubber({ times: { leaseMs: 5_000 } }).start();
    await eventually(async () => (await world.passes("one")).last !== undefined, "the pass has ended");
    expect((await world.passes("one")).last).toMatchObject({ corrupt: 0n, missing: 0n });
    expect(reads.length).toBeLessThan(260);
  });
});

describe("the rate", () => {
  test("is kept, by blobs of any size, and by all backends together", async () => {
    world = await createWorld(["one", "two"]);
    fill("one", 100, 5_000);
    fill("two", 1, 500_000);
    const begin = performance.now();
    await world.pass({ config: { scrubBytesPerSecond: 1_000_000 } });
    const seconds = (performance.now() - begin) / 1_000;
    expect(seconds).toBeGreaterThan(0.95);
    expect(seconds).toBeLessThan(8);
  });

  test("lets no more through at once than in a second, and hears the signal", async () => {
    world = await createWorld([]);
    const limit = new RateLimit(1_000);
    const { signal } = new AbortController();
    const begin = performance.now();
    await limit.take(500, signal);
    expect(performance.now() - begin).toBeGreaterThan(450);
    const controller = new AbortController();
    const waiting = limit.take(1_000_000, controller.signal);
    setTimeout(() => controller.abort(), 20);
    await expect(waiting).rejects.toThrow();
    expect(performance.now() - begin).toBeLessThan(1_500);
  });
});

describe("a million objects", () => {
  test("are not held: 100,000 listed ones are taken one by one", async () => {
    world = await createWorld(["one"]);
    const counting = new CountingBackend(100_000);
    world.backends.set("one", counting);
    await world.pass({ config: { scrubPeriodMs: 3_600_000 } });
    expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 0n, missing: 0n });
    expect(counting.listed).toBe(100_000);
    expect(counting.mostAhead).toBeLessThanOrEqual(1);
  }, 60_000);

  test("nor are references: pages are asked for as the walk comes to them", async () => {
    world = await createWorld(["one"]);
    const blobs = fill("one", 0);
    const all = Array.from({ length: 2_500 }, () => randomBlob(10));
    for (const blob of all) backend("one").put("bundles", blob);
    world.peers.references.set(backendNamed("one", 0).id, new Set([...blobs, ...all].map(({ hex }) => hex)));
    const readsAtPage: number[] = [];
    world.peers.beforeReferences = () => readsAtPage.push(backend("one").reads.length);
    await world.pass();
    expect((await world.passes("one")).last).toMatchObject({ blobsVerified: 2_500n, missing: 0n });
    expect(readsAtPage).toEqual([0, 1_000, 2_000]);
  });
});

describe("its end", () => {
  test("comes within a second, while it waits for the rate, for a round, and for a store that hears nothing", async () => {
    world = await createWorld(["one"]);
    fill("one", 10, 100_000);
    const slow = world.scrubber({ config: { scrubBytesPerSecond: 10 } });
    slow.start();
    await eventually(() => backend("one").reads.length === 1, "it reads");
    expect(await timeOf(() => slow.destroy())).toBeLessThan(1_200);
    expect(await timeOf(() => slow.destroy())).toBeLessThan(100);

    const idle = world.scrubber();
    expect(await timeOf(() => idle.destroy())).toBeLessThan(100);

    backend("one").beforeRead = () => new Promise(() => undefined);
    const hanging = world.scrubber();
    hanging.start();
    await sleep(50);
    expect(await timeOf(() => hanging.destroy())).toBeLessThan(1_200);
  });

  test("leaves the backend free for the next one at once", async () => {
    world = await createWorld(["one"]);
    fill("one", 100);
    backend("one").beforeRead = async () => sleep(2);
    const first = world.scrubber();
    first.start();
    await eventually(() => backend("one").reads.length > 20, "it reads");
    await first.destroy();
    const begin = Date.now();
    await world.pass();
    expect(Date.now() - begin).toBeLessThan(2_000);
  });
});

async function timeOf(act: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await act();
  return performance.now() - begin;
}

/** Lists more blobs than it has, each of which has gone when it is read; says how far the listing is ahead of the reads. */
class CountingBackend extends FakeBackend {
  readonly #count: number;
  #taken = 0;
  listed = 0;
  mostAhead = 0;

  constructor(count: number) {
    super();
    this.#count = count;
    this.beforeRead = () => {
      this.#taken++;
      this.reads.length = 0;
    };
  }

  override async *list(folder: string): AsyncGenerator<ListedBlob, void, void> {
    if (folder !== "blobs/") return;
    for (let i = 0; i < this.#count; i++) {
      this.listed++;
      this.mostAhead = Math.max(this.mostAhead, this.listed - this.#taken);
      yield {
        key: blobKey("blobs", i.toString(16).padStart(8, "0").padEnd(64, "0")),
        sizeBytes: 1,
        storedAt: new Date(),
      };
    }
  }
}
