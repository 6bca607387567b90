import fc from "fast-check";

const longestShown = 2_000;
/** How long a failing input is made smaller, in milliseconds: of a slow one there may be no end to it. */
const shrinkMs = 30_000;

/** From ATTESTRY_FUZZ_SEED, or a new one. */
export function chooseSeed(): number {
  const given = Number(process.env.ATTESTRY_FUZZ_SEED);
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * (2 ** 31 - 1));
}

export interface Fuzzed {
  name: string;
  /** Cases in one round. */
  runs: number;
  property: Pick<
    fc.IAsyncProperty<unknown>,
    "generate" | "shrink" | "run" | "isAsync" | "runBeforeEach" | "runAfterEach"
  >;
}

/** Tries cases of the seed's. Throws for the first that fails, with the smallest input that still does and is found in time. */
export async function fuzz({ name, runs, property }: Fuzzed, seed: number): Promise<void> {
  const found = await fc.check(property, { seed, numRuns: runs, endOnFailure: true });
  if (!found.failed) return;
  const { numRuns } = found;
  const limits = { interruptAfterTimeLimit: shrinkMs, markInterruptAsFailure: true };
  const smaller = await fc.check(property, { seed, path: found.counterexamplePath ?? "", ...limits });
  const { numShrinks, counterexample, errorInstance } = smaller.counterexample === null ? found : smaller;
  const input = fc.stringify(counterexample?.[0]);
  const shown = input.length > longestShown ? `${input.slice(0, longestShown)}... (${input.length} characters)` : input;
  throw new Error(
    `${name}: case ${numRuns} of seed ${seed} failed (ATTESTRY_FUZZ_SEED=${seed} repeats it); made smaller ${numShrinks} times:\n${shown}`,
    { cause: errorInstance },
  );
}
