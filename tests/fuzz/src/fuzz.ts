import fc from "fast-check";

const longestShown = 2_000;

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

/** Tries cases of the seed's. Throws for the first that fails, with the smallest input that still does. */
export async function fuzz({ name, runs, property }: Fuzzed, seed: number): Promise<void> {
  const result = await fc.check(property, { seed, numRuns: runs });
  if (!result.failed) return;
  const { numRuns, numShrinks, counterexample, errorInstance } = result;
  const input = fc.stringify(counterexample?.[0]);
  const shown = input.length > longestShown ? `${input.slice(0, longestShown)}... (${input.length} characters)` : input;
  throw new Error(
    `${name}: case ${numRuns} of seed ${seed} failed (ATTESTRY_FUZZ_SEED=${seed} repeats it); made smaller ${numShrinks} times:\n${shown}`,
    { cause: errorInstance },
  );
}
