import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { RunState } from "@attestry/api/run";
import { type Digest, digestOf } from "@attestry/bundle";
import { Code, ConnectError } from "@connectrpc/connect";
import type { World } from "./world.ts";

const pauseMs = 250;
/** Of Stores, one in so many is raced by a Cancel of its run, and of those answered OK one in so many read again later. */
const cancelledOneIn = 8;
const readAgainOneIn = 4;
const longestHeadStartMs = 30;
/** A call may come back so much later than its deadline, on a busy machine. */
const graceMs = 1_000;

/** One Store and what its client was told. */
export interface Entry {
  runId: string;
  digest: Digest;
  bundle: Buffer;
  answer: "ok" | "none";
  /** Of an answer that never came, or was an error. */
  error: string;
  /** Whether somebody asked for the run's cancellation meanwhile, and what he was told. */
  cancel: "none" | "asked" | "ok";
  /** The final states in which clients saw the run. */
  seen: Set<RunState>;
}

export interface Ledger {
  entries: Entry[];
  /** Calls that came back later than their deadline allows. */
  overdue: string[];
  /** Answers that only a bug gives. */
  bugs: string[];
  /** Every call that was not answered OK. */
  failures: Failure[];
}

export interface Failure {
  name: string;
  error: ConnectError;
}

export interface LoadOptions {
  clients?: number;
  /** The deadlines that clients give their calls, in turn; in milliseconds. */
  deadlinesMs?: readonly [number, ...number[]];
  /** Some runs are cancelled while their Store is under way. */
  cancels?: boolean;
}

export interface Load {
  /** For calls beside the load's own. */
  ledger: Ledger;
  /** Resolves when the last call has ended. */
  stop(): Promise<Ledger>;
}

/** Clients that start runs and store distinct bundles, one after another, and remember every answer. */
export function startLoad(world: World, options: LoadOptions = {}): Load {
  const { clients = 32, deadlinesMs = [10_000], cancels = false } = options;
  const ledger: Ledger = { entries: [], overdue: [], bugs: [], failures: [] };
  let stopping = false;
  async function client(_: unknown, number: number): Promise<void> {
    for (let turn = number; !stopping; turn++) {
      const deadlineMs = deadlinesMs[turn % deadlinesMs.length] ?? deadlinesMs[0];
      const entry = await storeOne(world, ledger, deadlineMs, cancels && turn % cancelledOneIn === 0);
      if (entry !== undefined) await lookAt(world, ledger, entry, deadlineMs);
      const earlier = ledger.entries[Math.floor(Math.random() * ledger.entries.length)];
      if (earlier !== undefined && turn % readAgainOneIn === 0) await lookAt(world, ledger, earlier, deadlineMs);
      await sleep(pauseMs);
    }
  }
  const running = Promise.all(Array.from({ length: clients }, client));
  return {
    ledger,
    stop: async () => {
      stopping = true;
      await running;
      return ledger;
    },
  };
}

async function storeOne(
  { runs, attestations }: World,
  ledger: Ledger,
  timeoutMs: number,
  cancels: boolean,
): Promise<Entry | undefined> {
  const started = await timed(ledger, "Create", timeoutMs, () =>
    runs.create({ project: "faults", workflow: "load", idempotencyKey: randomUUID() }, { timeoutMs }),
  );
  const runId = started?.run?.id;
  if (runId === undefined) return undefined;
  const entry = newEntry(runId);
  ledger.entries.push(entry);
  const store = timed(
    ledger,
    "Store",
    timeoutMs,
    () => attestations.store({ runId, bundle: entry.bundle }, { timeoutMs }),
    (error) => {
      entry.error = error.message;
    },
  );
  if (cancels) {
    await sleep(Math.random() * longestHeadStartMs);
    entry.cancel = "asked";
    if (await timed(ledger, "Cancel", timeoutMs, () => runs.cancel({ runId }, { timeoutMs }))) entry.cancel = "ok";
  }
  const stored = await store;
  if (stored?.digest === entry.digest) entry.answer = "ok";
  return entry;
}

/** The bundle can be read from the answer on, and whatever final state the run has, it keeps. */
async function lookAt({ runs, attestations }: World, ledger: Ledger, entry: Entry, timeoutMs: number): Promise<void> {
  const { runId, bundle } = entry;
  if (entry.answer === "ok") {
    const get = () => attestations.get({ by: { case: "runId", value: runId } }, { timeoutMs });
    const got = await timed(ledger, "Get", timeoutMs, get, ({ code, message }) => {
      if (code === Code.NotFound || code === Code.DataLoss) ledger.bugs.push(`Get after OK: ${message}`);
    });
    if (got !== undefined && !bundle.equals(got.bundle)) ledger.bugs.push(`Get after OK: other bytes of run ${runId}`);
  }
  const answer = await timed(ledger, "Get run", timeoutMs, () =>
    runs.get({ by: { case: "runId", value: runId } }, { timeoutMs }),
  );
  const state = answer?.run?.state;
  if (state !== undefined && state !== RunState.INITIALIZED) entry.seen.add(state);
}

/** Waits until so many Stores more were answered OK. Throws if that takes longer than a minute. */
export async function untilStored({ ledger: { entries } }: Load, count: number): Promise<void> {
  const stored = () => entries.filter(({ answer }) => answer === "ok").length;
  const enough = stored() + count;
  const end = performance.now() + 60_000;
  while (stored() < enough) {
    if (performance.now() > end) throw new Error(`${enough - stored()} of ${count} Stores were not answered OK`);
    await sleep(50);
  }
}

/** A distinct bundle for a run, of which nothing is known yet. */
export function newEntry(runId: string): Entry {
  const bundle = bundleOf(randomUUID());
  return { runId, digest: digestOf(bundle), bundle, answer: "none", error: "", cancel: "none", seen: new Set() };
}

/** Undefined if the call failed, or has not come back when its time is over. */
export async function timed<T>(
  ledger: Ledger,
  name: string,
  deadlineMs: number,
  call: () => Promise<T>,
  failed: (error: ConnectError) => void = () => undefined,
): Promise<T | undefined> {
  const timer = new AbortController();
  const late = sleep(deadlineMs + graceMs, undefined, { signal: timer.signal }).then(
    () => void ledger.overdue.push(`${name} has not come back ${graceMs} ms after its deadline of ${deadlineMs} ms`),
    () => undefined,
  );
  try {
    return await Promise.race([call(), late]);
  } catch (cause) {
    const error = ConnectError.from(cause);
    failed(error);
    ledger.failures.push({ name, error });
    // A connection that breaks is told as INTERNAL by the client itself; ours has a reason in its details.
    if (error.code === Code.Internal && error.details.length > 0) ledger.bugs.push(`${name}: ${error.message}`);
    return undefined;
  } finally {
    timer.abort();
  }
}

function bundleOf(note: string): Buffer {
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "app", digest: { sha256: "a".repeat(64) } }],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: { note },
  };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  const signatures = [{ keyid: "", sig: Buffer.from("not verified here").toString("base64") }];
  return Buffer.from(JSON.stringify({ payload, payloadType: "application/vnd.in-toto+json", signatures }));
}
