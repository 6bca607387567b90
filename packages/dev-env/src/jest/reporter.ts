import { howToGet, type OptionalServer } from "../programs.ts";
import { skippedMark } from "./skipped.ts";

// What is used of jest's results; @jest/reporters has the full types.
interface AssertionResult {
  status: string;
  ancestorTitles: string[];
}

interface AggregatedResult {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: { testFilePath: string; testResults: AssertionResult[] }[];
}

/** Says at the end of the run which suites were skipped for want of a server, then the totals in one plain line. */
export default class ClosingReporter {
  onRunComplete(_contexts: unknown, results: AggregatedResult): void {
    const skipped = skippedSuites(results);
    const lines: string[] = [];
    if (skipped.length > 0) {
      lines.push("", "Skipped, because this machine lacks a server:");
      lines.push(...skipped.map(({ suite }) => `  ${suite}`));
      const servers = new Set(skipped.flatMap(({ servers }) => servers));
      lines.push(...[...servers].map((server) => `To get ${server}: ${howToGet(server)}`));
    }
    // A file that does not even load has failed, though it counts no test.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skippedTests = results.numPendingTests + results.numTodoTests;
    lines.push("", `${results.numPassedTests} passed, ${failed} failed, ${skippedTests} skipped`);
    // jest puts its own summary after all other reporters, and this has to be the end of the output.
    process.once("exit", () => process.stdout.write(`${lines.join("\n")}\n`));
  }
}

function skippedSuites(results: AggregatedResult): { suite: string; servers: OptionalServer[] }[] {
  const suites = new Map<string, OptionalServer[]>();
  for (const file of results.testResults) {
    for (const { ancestorTitles } of file.testResults) {
      const suite = ancestorTitles.find((title) => skippedMark.test(title));
      const servers = suite && skippedMark.exec(suite)?.[1]?.split(", ");
      if (suite && servers) suites.set(suite, servers as OptionalServer[]);
    }
  }
  return [...suites].map(([suite, servers]) => ({ suite, servers }));
}
