import { setTimeout as sleep } from "node:timers/promises";
import { RunState } from "@attestry/api/run";
import { minioClient } from "@attestry/dev-env";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Entry } from "./load.ts";
import type { World } from "./world.ts";

const mendedWithinMs = 60_000;
const atATime = 16;
const bucket = "attestry";

export interface Verdict {
  calls: number;
  answeredOk: number;
  /** Of those without an answer: stored whole all the same. */
  storedAnyway: number;
  lost: string[];
  halfStored: string[];
}

/**
 * Proves, once all is repaired: each answered OK is readable, byte-identical, its run a success, its blob in the store;
 * each other one is absent or complete, and a retry of it ends well. Nothing stays unfinished for longer than 60 s.
 */
export async function check(world: World, entries: readonly Entry[]): Promise<Verdict> {
  const verdict: Verdict = { calls: entries.length, answeredOk: 0, storedAnyway: 0, lost: [], halfStored: [] };
  await untilMended(world, verdict);
  const blobs = await blobsIn(world);
  const unanswered: Entry[] = [];
  await each(entries, async (entry) => {
    if (entry.answer === "ok") {
      verdict.answeredOk++;
      await note(verdict.lost, entry, () => demandWhole(world, entry, blobs));
      return;
    }
    unanswered.push(entry);
    await note(verdict.halfStored, entry, async () => {
      if (await isAbsent(world, entry)) return;
      await demandWhole(world, entry, blobs);
      verdict.storedAnyway++;
    });
  });

  await each(unanswered, (entry) =>
    note(verdict.lost, entry, async () => {
      await world.attestations.store({ runId: entry.runId, bundle: entry.bundle }, { timeoutMs: 20_000 });
    }),
  );
  await untilMended(world, verdict);
  const after = await blobsIn(world);
  await each(unanswered, (entry) => note(verdict.lost, entry, () => demandWhole(world, entry, after)));
  return verdict;
}

/** Until no row lacks its mark and no upload its confirmation. */
async function untilMended(world: World, verdict: Verdict): Promise<void> {
  const end = performance.now() + mendedWithinMs;
  for (;;) {
    const [left] = await world.query<{ rows: number; uploads: number; spooled: number }>(
      `select (select count(*)::int from attestation where not visible) as rows,
              (select count(*)::int from upload where state <> 'confirmed') as uploads,
              (select count(*)::int from attestation where mode = 'spool' and bundle is not null) as spooled`,
    );
    if (left !== undefined && left.rows + left.uploads + left.spooled === 0) return;
    if (performance.now() > end) {
      verdict.halfStored.push(`not mended within ${mendedWithinMs / 1_000} s: ${JSON.stringify(left)}`);
      return;
    }
    await sleep(250);
  }
}

async function demandWhole(world: World, { runId, digest, bundle }: Entry, blobs: ReadonlyMap<string, number>) {
  const got = await world.attestations.get({ by: { case: "runId", value: runId } }, { timeoutMs: 20_000 });
  if (!bundle.equals(got.bundle)) throw new Error("other bytes came back");
  const { run } = await world.runs.get({ by: { case: "runId", value: runId } }, { timeoutMs: 20_000 });
  if (run?.state !== RunState.SUCCESS || run.attestationDigest !== digest) {
    throw new Error(`its run is ${run?.state} with ${run?.attestationDigest}`);
  }
  const size = blobs.get(digest.slice("sha256:".length));
  if (size !== bundle.length) throw new Error(`the store has ${size} bytes of ${bundle.length}`);
}

/** Neither a row nor a run that says it has one. */
async function isAbsent(world: World, { runId }: Entry): Promise<boolean> {
  try {
    await world.attestations.get({ by: { case: "runId", value: runId } }, { timeoutMs: 20_000 });
    return false;
  } catch (error) {
    if (ConnectError.from(error).code !== Code.NotFound) throw error;
  }
  const { run } = await world.runs.get({ by: { case: "runId", value: runId } }, { timeoutMs: 20_000 });
  if (run?.state !== RunState.INITIALIZED) throw new Error(`there is no attestation, and its run is ${run?.state}`);
  return true;
}

/** Sizes of all blobs in the bucket, by the hex digits at the end of their keys. */
async function blobsIn({ constellation }: World): Promise<Map<string, number>> {
  const { minio } = constellation.servers;
  if (minio === undefined) throw new Error("this world has no MinIO");
  const sizes = new Map<string, number>();
  for await (const { name, size } of minioClient(minio).listObjectsV2(bucket, "", true)) {
    const hex = /([0-9a-f]{64})$/.exec(name ?? "")?.[1];
    if (hex !== undefined) sizes.set(hex, size ?? 0);
  }
  return sizes;
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
