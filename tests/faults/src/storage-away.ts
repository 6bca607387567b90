import { setTimeout as sleep } from "node:timers/promises";
import { experiment, type Outcome } from "./experiment.ts";
import { type Entry, type Load, untilStored } from "./load.ts";
import type { SkipDatabase, World } from "./world.ts";

/**
 * Longer than whatever is tried again within one call: a client's deadline of 10 s; the gateway's 3 s for a request to
 * the store (see world.ts) and for tries after it; the 2 s for which an upload is tried again (packages/cas-client).
 */
const awayMs = 12_000;
/** Before each fault, so that it meets a system at work. */
const storesBefore = 30;

export interface StorageOutcome extends Outcome {
  during: Answers;
}

/** What clients were told whose Store began and ended while the store was away. */
export interface Answers {
  ok: number;
  errors: string[];
  /** Stores that the fault found under way, and that had not ended when it did. */
  outlasted: number;
}

export function noAnswers(): Answers {
  return { ok: 0, errors: [], outlasted: 0 };
}

/** Under load, the object store is killed, and then paused, each time until every call that met it working has ended. */
export async function storageAway(mode: SkipDatabase): Promise<StorageOutcome> {
  const during = noAnswers();
  const outcome = await experiment({
    mode,
    load: { cancels: false },
    inject: async ({ constellation, faults }: World, load: Load) => {
      const away = async (fault: string, take: () => Promise<void> | void, giveBack: () => Promise<void> | void) => {
        await untilStored(load, storesBefore);
        await take();
        faults.push(fault);
        await withAnswers(load, during, () => sleep(awayMs));
        await giveBack();
      };
      await away(
        "minio killed, for long",
        () => constellation.kill("minio"),
        () => constellation.restart("minio"),
      );
      await away(
        "minio paused, for long",
        () => constellation.pause("minio"),
        () => constellation.resume("minio"),
      );
      await untilStored(load, storesBefore);
    },
  });
  return { ...outcome, during };
}

/** Notes what is answered while `work` runs. */
export async function withAnswers({ ledger }: Load, answers: Answers, work: () => Promise<void>): Promise<void> {
  const first = ledger.entries.length;
  await work();
  const hasEnded = ({ answer, error }: Entry) => answer === "ok" || error !== "";
  answers.outlasted += ledger.entries.slice(0, first).filter((entry) => !hasEnded(entry)).length;
  const began = ledger.entries.slice(first);
  answers.ok += began.filter(({ answer }) => answer === "ok").length;
  answers.errors.push(...new Set(began.map(({ error }) => error).filter((error) => error !== "")));
}
