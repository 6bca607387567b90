import { afterEach, expect, jest, test } from "@jest/globals";
import { clearProgress, startCounter, startProgress } from "../src/output/progress.ts";

const { isTTY } = process.stderr;

afterEach(() => {
  jest.restoreAllMocks();
  process.stderr.isTTY = isTTY;
});

test("a line that is printed while a bar is shown gets a line of its own; without a bar nothing is cleared", () => {
  let written = "";
  process.stderr.isTTY = true;
  jest.spyOn(process.stderr, "write").mockImplementation((data) => {
    written += String(data);
    return true;
  });
  clearProgress();
  expect(written).toBe("");
  const progress = startProgress("syncing", 5_000_000);
  expect(written).toContain("syncing");
  written = "";
  clearProgress();
  // ECMA-48: the cursor to the first column, then what is right of it erased.
  expect(written).toBe("\u001b[1G\u001b[0K");
  progress.stop();
  written = "";
  clearProgress();
  expect(written).toBe("");
});

test("a counter says how many there are, to a terminal only", () => {
  let written = "";
  jest.spyOn(process.stderr, "write").mockImplementation((data) => {
    written += String(data);
    return true;
  });
  process.stderr.isTTY = false;
  startCounter("importing", "runs", 1_200).stop();
  expect(written).toBe("");
  process.stderr.isTTY = true;
  const counter = startCounter("importing", "runs", 1_200);
  expect(written).toContain("0 of 1200 runs");
  counter.update(1_300);
  counter.stop();
  written = "";
  clearProgress();
  expect(written).toBe("");
});
