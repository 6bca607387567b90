import { describeWith } from "@attestry/dev-env";
import { afterAll, expect, jest, test } from "@jest/globals";
import { betweenServices, someRounds } from "./src/between.ts";
import { type Outcome, violationsOf } from "./src/experiment.ts";
import { chooseSeed, randomOf } from "./src/random.ts";
import { closingTable } from "./src/report.ts";
import type { SkipDatabase } from "./src/world.ts";

jest.setTimeout(300_000);

const seed = chooseSeed();
const outcomes: Outcome[] = [];

afterAll(() => {
  const title = `faults between services, seed ${seed} (ATTESTRY_FAULTS_SEED=${seed} repeats it)`;
  process.stderr.write(`${title}\n${closingTable(outcomes)}\n`);
});

describeWith(["redis", "minio"], "a network that fails between two services, under load", () => {
  const modes: readonly SkipDatabase[] = ["false", "true", "spool"];
  test.each(modes)("in mode %s deadlines hold, refusals say why, and nothing is lost", async (mode) => {
    const random = randomOf(seed);
    const outcome = await betweenServices(mode, someRounds(mode, random), random);
    outcomes.push(outcome);
    expect({ seed, violations: violationsOf(outcome) }).toEqual({ seed, violations: [] });
    // A load that nothing got through would prove nothing.
    expect(outcome.answeredOk).toBeGreaterThan(outcome.calls / 4);
  });
});
