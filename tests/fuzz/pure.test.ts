import { parseBundle } from "@attestry/bundle";
import { afterAll, describe, expect, jest, test } from "@jest/globals";
import { chooseSeed, fuzz } from "./src/fuzz.ts";
import { nastyFiles } from "./src/nasty.ts";
import { outcomeOf } from "./src/target.ts";
import { createTargets } from "./src/targets.ts";

jest.setTimeout(300_000);

const seed = chooseSeed();
const targets = await createTargets();

afterAll(() => {
  const cases = targets.reduce((sum, { runs }) => sum + runs, nastyFiles.length);
  process.stderr.write(`fuzz: ${cases} cases of functions, seed ${seed} (ATTESTRY_FUZZ_SEED=${seed} repeats it)\n`);
});

describe("what takes bytes and texts from outside refuses them with a reason, or takes them", () => {
  test.each(targets)("$name", async (target) => {
    await fuzz(target, seed);
    // A grammar whose words are never taken, or always, tries little.
    expect(target.outcomes.size).toBeGreaterThan(1);
  });

  test.each(nastyFiles)("a nasty file: $name", async ({ bytes }) => {
    const file = bytes();
    await outcomeOf(() => parseBundle(file));
    expect({}).not.toHaveProperty("polluted");
  });
});
