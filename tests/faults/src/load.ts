import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, digestOf } from "@attestry/bundle";
import { Code, ConnectError } from "@connectrpc/connect";
import type { World } from "./world.ts";

const clients = 32;
const pauseMs = 250;
const deadlineMs = 10_000;
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
}

export interface Ledger {
  entries: Entry[];
  /** Calls that came back later than their deadline allows. */
  overdue: string[];
  /** Answers that only a bug gives. */
  bugs: string[];
}

export interface Load {
  /** Resolves when the last call has ended. */
  stop(): Promise<Ledger>;
}

/** Clients that start runs and store distinct bundles, one after another, and remember every answer. */
export function startLoad(world: World): Load {
  const ledger: Ledger = { entries: [], overdue: [], bugs: [] };
  let stopping = false;
  async function client(): Promise<void> {
    while (!stopping) {
      await storeOne(world, ledger);
      await sleep(pauseMs);
    }
  }
  const running = Promise.all(Array.from({ length: clients }, client));
  return {
    stop: async () => {
      stopping = true;
      await running;
      return ledger;
    },
  };
}

async function storeOne({ runs, attestations }: World, ledger: Ledger): Promise<void> {
  const started = await timed(ledger, "Create", () =>
    runs.create({ project: "faults", workflow: "load", idempotencyKey: randomUUID() }, { timeoutMs: deadlineMs }),
  );
  const runId = started?.run?.id;
  if (runId === undefined) return;
  const bundle = bundleOf(randomUUID());
  const entry: Entry = { runId, digest: digestOf(bundle), bundle, answer: "none", error: "" };
  ledger.entries.push(entry);
  const stored = await timed(
    ledger,
    "Store",
    () => attestations.store({ runId, bundle }, { timeoutMs: deadlineMs }),
    (error) => {
      entry.error = error.message;
    },
  );
  if (stored?.digest === entry.digest) entry.answer = "ok";
}

/** Undefined if the call failed. */
async function timed<T>(
  ledger: Ledger,
  name: string,
  call: () => Promise<T>,
  failed: (error: ConnectError) => void = () => undefined,
): Promise<T | undefined> {
  const began = performance.now();
  try {
    return await call();
  } catch (cause) {
    const error = ConnectError.from(cause);
    failed(error);
    // A connection that breaks is told as INTERNAL by the client itself; ours has a reason in its details.
    if (error.code === Code.Internal && error.details.length > 0) ledger.bugs.push(`${name}: ${error.message}`);
    return undefined;
  } finally {
    const ms = performance.now() - began;
    if (ms > deadlineMs + graceMs) ledger.overdue.push(`${name} took ${Math.round(ms)} ms`);
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
