import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { RunState } from "@attestry/api/run";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Entry } from "./load.ts";
import { strayRows } from "./stray-rows.ts";
import type { BlobInStore, World } from "./world.ts";

const mendedWithinMs = 60_000;
const atATime = 16;
const call = { timeoutMs: 20_000 };

export interface Verdict {
  calls: number;
  answeredOk: number;
  /** Of those without an answer: stored whole all the same. */
  storedAnyway: number;
  /** Of those without an answer: a retry of the client's stored them. */
  mendedByClient: number;
  lost: string[];
  halfStored: string[];
}

type Blobs = ReadonlyMap<string, BlobInStore>;

/**
 * Proves, once all is repaired: each answered OK is readable, byte-identical, its run a success, its blob in the store;
 * each other one is absent or complete, and a retry of it ends well; a run that was cancelled has none and takes none.
 * No run left a final state that a client saw, and no row stands for nothing. Nothing stays unfinished for longer than
 * `withinMs`.
 */
export async function check(
  world: World,
  entries: readonly Entry[],
  withinMs: number = mendedWithinMs,
): Promise<Verdict> {
  const verdict: Verdict = {
    ...{ calls: entries.length, answeredOk: 0, storedAnyway: 0, mendedByClient: 0 },
    ...{ lost: [], halfStored: [] },
  };
  await untilMended(world, verdict, withinMs);
  const blobs = await world.stored();
  const unanswered: Entry[] = [];
  await each(entries, async (entry) => {
    if (entry.answer === "ok") {
      verdict.answeredOk++;
      await note(verdict.lost, entry, () => demandWhole(world, entry, blobs));
      return;
    }
    await note(verdict.halfStored, entry, async () => {
      const state = await demandAbsent(world, entry);
      if (state === RunState.CANCELLED) return demandRefused(world, entry);
      unanswered.push(entry);
      if (state !== undefined) return;
      await demandWhole(world, entry, blobs);
      verdict.storedAnyway++;
    });
  });

  await each(unanswered, (entry) => note(verdict.lost, entry, () => storeAgain(world, entry)));
  verdict.mendedByClient = unanswered.length - verdict.storedAnyway;
  await untilMended(world, verdict, withinMs);
  const after = await world.stored();
  await each(unanswered, (entry) => note(verdict.lost, entry, () => demandWhole(world, entry, after)));
  verdict.halfStored.push(...(await strayRows(world, entries, after)));
  return verdict;
}

/** Until no row lacks its mark and no upload its confirmation. */
async function untilMended(world: World, verdict: Verdict, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const [left] = await world.query<{ rows: number; uploads: number; spooled: number }>(
      `select (select count(*)::int from attestation where not visible) as rows,
              (select count(*)::int from upload where state <> 'confirmed') as uploads,
              (select count(*)::int from attestation where mode = 'spool' and bundle is not null) as spooled`,
    );
    if (left !== undefined && left.rows + left.uploads + left.spooled === 0) return;
    if (performance.now() > end) {
      verdict.halfStored.push(`not mended within ${withinMs / 1_000} s: ${JSON.stringify(left)}`);
      return;
    }
    await sleep(250);
  }
}

async function demandWhole(world: World, entry: Entry, blobs: Blobs): Promise<void> {
  const { runId, digest, bundle, cancel, seen } = entry;
  const got = await patiently(() => world.attestations.get({ by: { case: "runId", value: runId } }, call));
  if (!bundle.equals(got.bundle)) throw new Error("other bytes came back");
  const { run } = await patiently(() => world.runs.get({ by: { case: "runId", value: runId } }, call));
  if (run?.state !== RunState.SUCCESS || run.attestationDigest !== digest) {
    throw new Error(`its run is ${stateName(run?.state)} with ${run?.attestationDigest}`);
  }
  if (cancel === "ok") throw new Error("its run was cancelled, and is a success");
  demandKept(seen, RunState.SUCCESS);
  const blob = blobs.get(digest.slice("sha256:".length));
  if (blob?.sizeBytes !== bundle.length) throw new Error(`the store has ${blob?.sizeBytes} bytes of ${bundle.length}`);
  if (blob.md5 !== createHash("md5").update(bundle).digest("hex")) throw new Error("the store has other bytes");
}

/** Neither a row nor a run that says it has one: the run's state then; undefined if there is an attestation. */
async function demandAbsent(world: World, { runId, cancel, seen }: Entry): Promise<RunState | undefined> {
  try {
    await patiently(() => world.attestations.get({ by: { case: "runId", value: runId } }, call));
    return undefined;
  } catch (error) {
    if (ConnectError.from(error).code !== Code.NotFound) throw error;
  }
  const { run } = await patiently(() => world.runs.get({ by: { case: "runId", value: runId } }, call));
  const state = run?.state;
  const mayBe = {
    none: [RunState.INITIALIZED],
    asked: [RunState.INITIALIZED, RunState.CANCELLED],
    ok: [RunState.CANCELLED],
  };
  if (state === undefined || !mayBe[cancel].includes(state)) {
    throw new Error(`there is no attestation, and its run is ${stateName(state)}, of which Cancel: ${cancel}`);
  }
  demandKept(seen, state);
  return state;
}

async function storeAgain({ attestations }: World, { runId, bundle }: Entry): Promise<void> {
  await patiently(() => attestations.store({ runId, bundle }, call));
}

/** As clients do: services find each other again, and the store, some seconds after the last repair. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const end = performance.now() + mendedWithinMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unavailable || performance.now() > end) throw error;
    }
    await sleep(250);
  }
}

/** A cancelled run takes no attestation any more. */
async function demandRefused(world: World, entry: Entry): Promise<void> {
  const refused = await storeAgain(world, entry).then(
    () => false,
    (error: unknown) => {
      if (ConnectError.from(error).code !== Code.FailedPrecondition) throw error;
      return true;
    },
  );
  if (!refused) throw new Error("its run was cancelled, and took an attestation");
}

/** A final state, once seen, stays. */
function demandKept(seen: ReadonlySet<RunState>, state: RunState): void {
  for (const before of seen) {
    if (before !== state) throw new Error(`its run was seen as ${stateName(before)}, and is ${stateName(state)}`);
  }
}

function stateName(state: RunState | undefined): string {
  return Object.entries(RunState).find(([, value]) => value === state)?.[0] ?? "unknown";
}

async function note(faults: string[], { runId, error }: Entry, proof: () => Promise<void>): Promise<void> {
  try {
    await proof();
  } catch (cause) {
    faults.push(`run ${runId} (told: ${error || "OK"}): ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
    }),
  );
}
