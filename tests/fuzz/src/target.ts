import fc from "fast-check";
import type { Fuzzed } from "./fuzz.ts";
import { refusalOf } from "./refusal.ts";

/** A function that takes what comes from outside. */
export interface Target extends Fuzzed {
  /** How often it took what came, and for what reasons it refused it: what never gets far is a bad grammar. */
  outcomes: Map<string, number>;
}

/** How long one case may keep the thread busy, in milliseconds: of its own time, so that other processes do not count. */
const caseMs = 1_000;

export function target<T>(name: string, runs: number, inputs: fc.Arbitrary<T>, attempt: (input: T) => unknown): Target {
  const outcomes = new Map<string, number>();
  const property = fc.asyncProperty(inputs, async (input) => {
    const outcome = await outcomeOf(() => attempt(input));
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  });
  return { name, runs, property, outcomes };
}

/** "taken", or the reason of a refusal of ours. Throws for all else, and if it took too long. */
export async function outcomeOf(attempt: () => unknown): Promise<string> {
  let outcome = "taken";
  const began = process.threadCpuUsage();
  try {
    await attempt();
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    outcome = refusalOf(error);
  }
  const { user, system } = process.threadCpuUsage(began);
  const ms = (user + system) / 1_000;
  if (ms > caseMs) throw new Error(`took ${Math.round(ms)} ms`);
  return outcome;
}

/** What was let through, and must not have been. */
class BrokenPromise extends Error {}

export function promise(kept: boolean, what: string): void {
  if (!kept) throw new BrokenPromise(what);
}
