import { randomBytes } from "node:crypto";
import { Code, createRouterTransport } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { refusal } from "../../cli/tests/fake-server.ts";
import { StrictStore, sha256 } from "../../cli/tests/strict-store.ts";
import { type Uploaded, uploadMany } from "../src/index.ts";

const token = "token";

interface Named {
  name: string;
  digest: string;
  sizeBytes: number;
  open: (offset: number) => AsyncIterable<Uint8Array>;
}

let store: StrictStore;

beforeEach(() => {
  store = new StrictStore();
});

function blobOf(name: string, bytes: Buffer): Named {
  return {
    name,
    digest: `sha256:${sha256(bytes)}`,
    sizeBytes: bytes.byteLength,
    async *open(offset) {
      yield bytes.subarray(offset);
    },
  };
}

async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  yield* [];
  throw error;
}

async function upload(blobs: AsyncIterable<Named> | Iterable<Named>, options: object = {}) {
  const results: Uploaded<Named>[] = [];
  const progress: number[] = [];
  await uploadMany(createRouterTransport(store.routes), {
    token,
    blobs,
    onResult: (result) => results.push(result),
    onProgress: (bytes) => progress.push(bytes),
    ...options,
  });
  return {
    outcomes: Object.fromEntries(results.map(({ blob, outcome }) => [blob.name, outcome])),
    faults: results.flatMap((result) => (result.outcome === "failed" ? [result.fault] : [])),
    progress,
  };
}

describe("uploadMany", () => {
  test("sends what is missing: small blobs together, large ones alone, the same bytes once", async () => {
    const there = randomBytes(10);
    store.blobs.set(sha256(there), there);
    const twice = randomBytes(100_000);
    const large = Array.from({ length: 6 }, () => randomBytes(1_500_000));
    const small = Array.from({ length: 50 }, () => randomBytes(100_000));
    const blobs = [
      blobOf("there", there),
      blobOf("one", twice),
      ...large.map((bytes, i) => blobOf(`large ${i}`, bytes)),
      ...small.map((bytes, i) => blobOf(`small ${i}`, bytes)),
      blobOf("empty", Buffer.alloc(0)),
      blobOf("two", twice),
    ];
    const { outcomes, progress } = await upload(blobs);
    expect(Object.keys(outcomes)).toHaveLength(blobs.length);
    expect(outcomes).toMatchObject({ there: "present", one: "uploaded", two: "present", empty: "uploaded" });
    expect(Object.values(outcomes).filter((outcome) => outcome === "uploaded")).toHaveLength(58);
    for (const bytes of [...large, ...small, twice]) expect(store.blobs.get(sha256(bytes))?.equals(bytes)).toBe(true);
    expect(store.batches).toBe(2);
    expect(progress.at(-1)).toBe(blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    const again = await upload(blobs);
    expect(new Set(Object.values(again.outcomes))).toEqual(new Set(["present"]));
  });

  test("has no more under way than its jobs", async () => {
    let open = 0;
    let most = 0;
    const blobs = Array.from({ length: 12 }, (_, i) => {
      const bytes = randomBytes(700_000);
      return {
        ...blobOf(String(i), bytes),
        async *open() {
          most = Math.max(most, ++open);
          await new Promise((resolve) => setTimeout(resolve, 20));
          yield bytes;
          open--;
        },
      };
    });
    const { outcomes } = await upload(blobs, { jobs: 3 });
    expect(Object.keys(outcomes)).toHaveLength(12);
    expect(most).toBe(3);
  });

  test("tells faults of single blobs, and goes on with the others", async () => {
    const changed = { ...blobOf("changed", randomBytes(1_000)), digest: `sha256:${"0".repeat(64)}` };
    const shorter = { ...blobOf("shorter", randomBytes(1_000_000)), sizeBytes: 1_000_001 };
    const broken: Named = {
      ...blobOf("broken", randomBytes(10)),
      open: () => failing(Object.assign(new Error("gone"), { code: "ENOENT" })),
    };
    const { outcomes, faults } = await upload([changed, shorter, broken, blobOf("fine", randomBytes(10))]);
    expect(outcomes).toEqual({ changed: "failed", shorter: "failed", broken: "failed", fine: "uploaded" });
    expect(faults).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ code: "SOURCE_CHANGED" }),
        expect.objectContaining({ code: "SIZE_MISMATCH" }),
        expect.objectContaining({ code: "ENOENT" }),
      ]),
    );
  });

  test("goes on after what passes, and ends with what does not", async () => {
    let faults = 2;
    store.before = (call) => {
      if (call === "batch" && faults-- > 0) throw refusal(Code.Unavailable, "BACKEND_UNAVAILABLE", "later", 10);
    };
    expect((await upload([blobOf("small", randomBytes(10))])).outcomes).toEqual({ small: "uploaded" });
    store.before = (call) => {
      if (call === "write") throw refusal(Code.PermissionDenied, "ROLE_INSUFFICIENT", "no");
    };
    const blobs = Array.from({ length: 40 }, (_, i) => blobOf(String(i), randomBytes(600_000)));
    await expect(upload(blobs)).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(store.writes.length).toBeLessThan(10);
  });

  test("ends where no token is given any more", async () => {
    const blobs = Array.from({ length: 10 }, (_, i) => blobOf(String(i), randomBytes(600_000)));
    let tokens = 0;
    const results: string[] = [];
    const uploading = upload(blobs, {
      token: async () => {
        if (++tokens > 3) throw new RangeError("no more tokens");
        return "token";
      },
      jobs: 1,
      onResult: ({ outcome }: { outcome: string }) => results.push(outcome),
    });
    await expect(uploading).rejects.toThrow("no more tokens");
    expect(results).toEqual(["uploaded", "uploaded"]);
  });

  test("ends with its signal, and with what its blobs throw", async () => {
    await expect(upload([blobOf("a", randomBytes(10))], { signal: AbortSignal.abort() })).rejects.toThrow();
    async function* failing() {
      yield blobOf("a", randomBytes(10));
      throw new RangeError("no more");
    }
    await expect(upload(failing())).rejects.toThrow("no more");
  });
});
