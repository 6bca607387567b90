import { describeWith } from "@attestry/dev-env";
import { expect, jest, test } from "@jest/globals";
import { violationsOf } from "./src/experiment.ts";
import { chooseSeed, randomOf } from "./src/random.ts";
import { closingTable } from "./src/report.ts";
import { rollingRestart } from "./src/rolling.ts";

jest.setTimeout(300_000);

const seed = chooseSeed();

describeWith(["redis", "minio"], "two replicas of each service that end one after another, under load", () => {
  test("no call fails for a client with the standard retry policy", async () => {
    // In this mode every service has a part in every Store.
    const outcome = await rollingRestart("true", randomOf(seed));
    const title = `rolling restart, seed ${seed} (ATTESTRY_FAULTS_SEED=${seed} repeats it)`;
    process.stderr.write(`${title}\n${closingTable([outcome])}\n`);
    expect({ seed, violations: violationsOf(outcome) }).toEqual({ seed, violations: [] });
    expect(outcome.answeredOk).toBe(outcome.calls);
    // A load that nothing got through would prove nothing.
    expect(outcome.calls).toBeGreaterThan(100);
  });
});
