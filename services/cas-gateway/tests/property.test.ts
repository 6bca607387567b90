import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Backend, WriteOptions } from "../src/backends/backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { type BackendUnderTest, keyOf, readWith } from "./contract/subject.ts";
import { startFolder } from "./folder-store.ts";
import { startMemory } from "./memory-backend.ts";
import { Puppet } from "./puppet.ts";
import { startBucket } from "./s3-bucket.ts";

interface Scale {
  numRuns: number;
  minBytes: number;
  maxBytes: number;
}

const broken = new Error("the client went away");
const share = fc.double({ min: 0, max: 1, noNaN: true });

/** One try at writing a blob, right or wrong, whole or not. */
const attempts = fc.record({
  replica: fc.nat(1),
  /** Where the one bit is that is wrong, as a share of the blob. */
  wrongAt: fc.option(share, { nil: undefined, freq: 2 }),
  /** Where the pieces end. */
  cuts: fc.array(share, { maxLength: 6 }),
  /** How much of the blob comes before the client goes away. */
  until: fc.option(share, { nil: undefined, freq: 2 }),
  goesAway: fc.constantFrom("source", "signal"),
  keep: fc.boolean(),
  /** Whether the size is left to the source; not of an upload that may go on. */
  unsized: fc.boolean(),
});
type Attempt = typeof attempts extends fc.Arbitrary<infer Value> ? Value : never;

function piecesOf(blob: TestBlob, attempt: Attempt, offset = 0): Uint8Array[] {
  const { wrongAt, cuts, until = 1 } = attempt;
  const bytes = Buffer.from(blob.bytes);
  if (wrongAt !== undefined) {
    const position = Math.min(bytes.byteLength - 1, Math.floor(wrongAt * bytes.byteLength));
    bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position);
  }
  const end = Math.max(offset, Math.floor(until * bytes.byteLength));
  const inside = cuts.map((cut) => Math.floor(cut * bytes.byteLength)).filter((cut) => cut > offset && cut < end);
  const edges = [offset, ...inside.sort((a, b) => a - b), end];
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
}

/** A write that is under way, and steps that lead it to its end. */
function begin(backend: Backend, blob: TestBlob, attempt: Attempt, upload?: { id: string; offset: number }) {
  const breaking = new AbortController();
  const isBroken = attempt.until !== undefined;
  const pieces = piecesOf(blob, attempt, upload?.offset);
  const puppet = new Puppet(pieces, isBroken && attempt.goesAway === "source" ? broken : undefined);
  const resumable = upload && { uploadId: upload.id, offset: upload.offset, keepAfter: () => attempt.keep };
  const options: WriteOptions = { signal: breaking.signal, resumable };
  const query = attempt.unsized && upload === undefined ? { hex: blob.hex, sizeBytes: undefined } : blob;
  const outcome = backend.write(keyOf(blob), query, puppet.source(), options).then(
    () => "stored" as const,
    (error: unknown) => error,
  );
  let left = pieces.length;
  return {
    outcome,
    step: async () => {
      if (left-- === 0 && isBroken && attempt.goesAway === "signal") breaking.abort(broken);
      await puppet.step(outcome);
    },
  };
}

function couldBeRight({ wrongAt, until }: Attempt): boolean {
  return wrongAt === undefined && until === undefined;
}

function properties(start: () => Promise<BackendUnderTest>, { numRuns, minBytes, maxBytes }: Scale): void {
  const { signal } = new AbortController();
  const settings = { numRuns, interruptAfterTimeLimit: 20_000 };
  const sizes = fc.integer({ min: minBytes, max: maxBytes });
  let store: BackendUnderTest;
  let replicas: Backend[];
  beforeAll(async () => {
    store = await start();
    replicas = [store.open("acme/"), store.open("acme/")];
  });
  afterAll(() => store.stop());
  const replica = (i: number) => replicas[i] ?? store.open("acme/");

  /** Nothing, or the blob: whoever looks, whenever. */
  async function expectRightOrAbsent(blob: TestBlob, isProven: boolean): Promise<void> {
    const read = await readWith(replica(0), blob);
    if (isProven || read !== undefined) expect(read?.equals(blob.bytes)).toBe(true);
    if (!isProven) expect(read).toBeUndefined();
    const sizes = await replica(1).sizes([{ key: keyOf(blob), sizeBytes: blob.sizeBytes }], signal);
    expect(sizes.size).toBe(isProven ? 1 : 0);
  }
  /** A right write under each of the names stores the blob, and nothing else is left. */
  async function expectRepairable(blob: TestBlob, ids: string[]): Promise<void> {
    for (const id of ids) {
      const options = { signal, resumable: { uploadId: id, offset: 0, keepAfter: () => false } };
      await replica(1).write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), options);
      await expectRightOrAbsent(blob, true);
    }
    await replica(0).delete(keyOf(blob), signal);
    expect(await store.leftovers("acme/")).toEqual([]);
  }

  test("two writers of one digest, step by step in any order", async () => {
    const order = fc.array(fc.nat(1), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(sizes, attempts, attempts, order, fc.boolean(), async (size, first, second, order, named) => {
        const blob = randomBlob(size);
        const ids = [crypto.randomUUID(), crypto.randomUUID()];
        const writers = [first, second].map((attempt, i) => {
          const upload = named ? { id: ids[i] ?? "", offset: 0 } : undefined;
          return { ...begin(replica(attempt.replica), blob, attempt, upload), attempt, ended: undefined as unknown };
        });
        for (const writer of writers) void writer.outcome.then((outcome) => (writer.ended = outcome));
        const rest = Array.from({ length: 16 }, (_, i) => i % 2);
        for (const i of [...order, ...rest]) {
          await writers[i]?.step();
          await expectRightOrAbsent(
            blob,
            writers.some(({ ended }) => ended === "stored"),
          );
        }
        for (const { attempt, outcome } of writers) expect((await outcome) === "stored").toBe(couldBeRight(attempt));
        await expectRightOrAbsent(blob, couldBeRight(first) || couldBeRight(second));
        await expectRepairable(blob, ids);
      }),
      settings,
    );
  });

  test("one upload, broken off and gone on with, by replicas in turn", async () => {
    const tries = fc.array(fc.tuple(attempts, fc.constantFrom("committed", "anew", "short", "beyond")), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(sizes, tries, async (size, tries) => {
        const blob = randomBlob(size);
        const id = crypto.randomUUID();
        let isProven = false;
        for (const [attempt, where] of tries) {
          const committed = await replica(attempt.replica).committed(keyOf(blob), blob, id, signal);
          expect(committed).toBeLessThanOrEqual(size);
          const offset = { committed, anew: 0, short: Math.max(0, committed - 1), beyond: committed + 1 }[where];
          const writing = begin(replica(attempt.replica), blob, attempt, { id, offset });
          for (let i = 0; i < 9; i++) await writing.step();
          const outcome = await writing.outcome;
          // One that went on may be right although its wrong bit lies before.
          const mayStore = couldBeRight(attempt) || (offset > 0 && attempt.until === undefined);
          if (outcome === "stored") expect([where, mayStore]).toEqual([expect.not.stringMatching("beyond"), true]);
          isProven ||= outcome === "stored";
          await expectRightOrAbsent(blob, isProven);
        }
        await expectRepairable(blob, [id]);
      }),
      settings,
    );
  });
}

describe("whatever happens, a read gives the right bytes or none", () => {
  describe("in memory", () => properties(startMemory, { numRuns: 200, minBytes: 1, maxBytes: 5_000 }));
  describe("in a folder", () => properties(startFolder, { numRuns: 40, minBytes: 1, maxBytes: 1_500_000 }));
  describeWith(["minio"], "in a bucket", () =>
    properties(startBucket, { numRuns: 3, minBytes: 1, maxBytes: 20_000_000 }),
  );
});
