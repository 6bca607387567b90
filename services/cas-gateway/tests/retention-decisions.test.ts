import type { RetentionBounds } from "@attestry/service-kit";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { blobKey } from "../src/blobs/key.ts";
import type { MaterialEvent } from "../src/retention/audit.ts";
import { expireMaterials } from "../src/retention/expire-materials.ts";
import type { Expiry, HiddenBlob } from "../src/retention/expiry.ts";
import { keepingOf } from "../src/retention/keeping.ts";
import { backendOf } from "./harness.ts";
import { MemoryBackend, MemoryStore } from "./memory-backend.ts";

const { signal } = new AbortController();
const [minuteMs, daySeconds] = [60_000, 86_400];
const monthBound: RetentionBounds = { atLeastSeconds: 0, atMostSeconds: 30 * daySeconds };
const yearBound: RetentionBounds = { atLeastSeconds: 0, atMostSeconds: 365 * daySeconds };
const keys = ["aa", "bb", "cc"].map((byte) => blobKey("blobs", byte.repeat(32)));
const old = new Date(Date.now() - 31 * daySeconds * 1_000);

describe("a sweep of materials past at_most", () => {
  let bounds: RetentionBounds;
  let asked: number;
  /** What was recorded and what was done, in their order. */
  let done: string[];
  /** Called for each event, and for each deed. */
  let meanwhile: (what: string) => void;
  beforeEach(() => {
    [bounds, asked, done, meanwhile] = [monthBound, 0, [], () => undefined];
  });
  afterEach(() => void jest.restoreAllMocks());

  function does(what: string): true {
    done.push(what);
    meanwhile(what);
    return true;
  }

  async function sweep(store: Partial<Expiry> & { lies?: string[]; isHidden?: string[] }): Promise<void> {
    const expiry: Expiry = {
      now: () => new Date(),
      mayHide: async () => true,
      hide: async (key) => does(`hide ${nameOf(key)}`),
      async *hidden(): AsyncGenerator<HiddenBlob, void, void> {
        for (const key of store.isHidden ?? []) yield { key, storedAt: old, hiddenAt: old };
      },
      restore: async ({ key }) => void does(`restore ${nameOf(key)}`),
      remove: async ({ key }) => does(`remove ${nameOf(key)}`),
      ...store,
    };
    const backend = new MemoryBackend(new MemoryStore());
    backend.list = async function* () {
      for (const key of store.lies ?? []) yield { key, storedAt: old, sizeBytes: 1 };
    };
    const record = async (_organization: string, events: readonly MaterialEvent[]) => {
      for (const { action, hex, reason } of events)
        does([action, hex.slice(0, 2), ...(reason === undefined ? [] : [`(${reason})`])].join(" "));
    };
    const telemetry = { material: () => undefined, unable: () => undefined };
    const target = {
      ...{ organizationId: "an organization", named: backendOf({ provider: "s3" }), backend, expiry },
      bounds: async () => {
        asked++;
        return bounds;
      },
      progress: async () => undefined,
    };
    await expireMaterials({ audit: { record }, telemetry, graceMs: minuteMs, removes: true }, target, signal);
  }

  /** Raises at_most when that was done, and then the process is stopped for so long. */
  function raiseAfter(what: string, stoppedMs: number): void {
    const now = performance.now.bind(performance);
    meanwhile = (came) => {
      if (came !== what) return;
      bounds = yearBound;
      jest.spyOn(performance, "now").mockImplementation(() => now() + stoppedMs);
    };
  }

  test("removes nothing once it could know that at_most was raised, wherever it was stopped", async () => {
    raiseAfter("material.delete cc", 31_000);
    await sweep({ isHidden: keys });
    const recorded = ["material.delete aa", "material.delete bb", "material.delete cc"];
    const kept = ["aa", "bb", "cc"].map((name) => `material.keep ${name} (at_most was raised)`);
    expect(done).toEqual([...recorded, ...kept]);

    [bounds, done] = [monthBound, []];
    jest.restoreAllMocks();
    raiseAfter("remove aa", 31_000);
    await sweep({ isHidden: keys });
    expect(done).toEqual([...recorded, "remove aa", ...kept.slice(1)]);

    // What was raised is in the next sweep's answer.
    done = [];
    await sweep({ isHidden: keys });
    expect(done.slice(-3)).toEqual(["restore aa", "restore bb", "restore cc"]);
  });

  test("hides nothing then either, and goes by its answer for half a minute", async () => {
    raiseAfter("hide aa", 31_000);
    await sweep({ lies: keys });
    const kept = ["bb", "cc"].map((name) => `material.keep ${name} (at_most was raised)`);
    expect(done.slice(3)).toEqual(["hide aa", ...kept]);

    [bounds, done, asked] = [monthBound, [], 0];
    jest.restoreAllMocks();
    raiseAfter("hide aa", 20_000);
    await sweep({ lies: keys });
    expect(done.slice(3)).toEqual(["hide aa", "hide bb", "hide cc"]);
    // For the listing, and for the batch.
    expect(asked).toBe(2);
  });

  test("records nothing of what would stay, however often it looks", async () => {
    for (let sweeps = 0; sweeps < 24; sweeps++) await sweep({ lies: keys, mayHide: async () => false });
    expect(done).toEqual([]);
  });

  test("records that a material stays after all", async () => {
    await sweep({ lies: keys.slice(0, 1), hide: async () => false });
    expect(done).toEqual(["material.expire aa", "material.keep aa (it could not be moved out of sight, or came anew)"]);
    done = [];
    const hide = async (key: string) => {
      if (key === keys[1]) throw new Error("the store is away");
      return false;
    };
    await expect(sweep({ lies: keys, hide })).rejects.toThrow("the store is away");
    expect(done.slice(3)).toEqual(["material.keep aa (it could not be moved out of sight, or came anew)"]);
  });

  test("leaves what somebody may have been told is there, until at_least is over since the bounds were set", async () => {
    const now = Math.floor(Date.now() / 1_000);
    bounds = { ...monthBound, atLeastSeconds: daySeconds, since: now - daySeconds + 60 };
    await sweep({ lies: keys, isHidden: keys });
    expect(done.filter((what) => !what.includes("restore") && !what.includes("material.keep"))).toEqual([]);
    done = [];
    bounds = { ...bounds, since: now - daySeconds - 60 };
    await sweep({ lies: keys });
    expect(done.slice(3)).toEqual(["hide aa", "hide bb", "hide cc"]);
  });

  test("goes by the time of the store", async () => {
    jest.spyOn(Date, "now").mockReturnValue(Date.now() + 400 * daySeconds * 1_000);
    await sweep({ lies: keys, isHidden: keys, now: () => new Date(old.getTime() + minuteMs / 2) });
    expect(done.filter((what) => !what.includes("restore") && !what.includes("material.keep"))).toEqual([]);
  });
});

test.each([
  ["a day where life is long", 0, 30 * daySeconds, daySeconds],
  ["half of a short life", 0, 10 * 3_600, 5 * 3_600],
  ["at_least where that is more", 7 * daySeconds, 30 * daySeconds, 7 * daySeconds],
  ["a day where at_least is less", 3_600, 30 * daySeconds, daySeconds],
  ["all of it where both bounds are equal", 30 * daySeconds, 30 * daySeconds, 30 * daySeconds],
])("a material counts as there while it has %s left", (_name, atLeastSeconds, atMostSeconds, leftSeconds) => {
  const keeping = keepingOf({ space: "blobs", retention: { atLeastSeconds, atMostSeconds } } as never);
  expect(keeping?.renewAfterMs).toBe((atMostSeconds - leftSeconds) * 1_000);
});

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1).slice(0, 2);
}
