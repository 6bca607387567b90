import { describeWith } from "@attestry/dev-env";
import { afterAll, expect, jest, test } from "@jest/globals";
import { everythingDies } from "./src/everything-dies.ts";
import { type Outcome, violationsOf } from "./src/experiment.ts";
import { chooseSeed, randomOf } from "./src/random.ts";
import { closingTable } from "./src/report.ts";
import type { SkipDatabase } from "./src/world.ts";

jest.setTimeout(480_000);

const seed = chooseSeed();
const outcomes: Outcome[] = [];

afterAll(() => {
  process.stderr.write(`faults, seed ${seed} (ATTESTRY_FAULTS_SEED=${seed} repeats it)\n${closingTable(outcomes)}\n`);
});

describeWith(["redis", "minio"], "whatever dies, under load", () => {
  const modes: readonly SkipDatabase[] = ["false", "true", "spool"];
  test.each(modes)("in mode %s nothing that was answered OK is lost, and nothing is half-stored", async (mode) => {
    const outcome = await everythingDies(mode, randomOf(seed));
    outcomes.push(outcome);
    expect({ seed, violations: violationsOf(outcome) }).toEqual({ seed, violations: [] });
    // A load that nothing got through would prove nothing.
    expect(outcome.answeredOk).toBeGreaterThan(100);
  });
});
