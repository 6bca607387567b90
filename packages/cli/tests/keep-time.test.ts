import { describe, expect, test } from "@jest/globals";
import { keepTime, keepWords } from "../src/keep-time.ts";

describe("how long things are kept", () => {
  test.each([
    ["90s", 90],
    ["5m", 300],
    ["12h", 43_200],
    ["90d", 7_776_000],
    ["2w", 1_209_600],
    ["7y", 220_903_200],
    ["100y", 3_155_760_000],
    ["none", 0],
    ["forever", 0],
    ["0", 0],
  ])("%s", (text, seconds) => expect(keepTime(text)).toBe(seconds));

  // A number alone could be meant as days, and be taken as seconds.
  test.each(["90", "", "0d", "-1d", "1.5d", "5 d", "5D", "d", "1e3s", "99999999999s", "never", "500ms"])(
    "is not %j",
    (text) => {
      expect(() => keepTime(text)).toThrow("Expected a number and a unit");
    },
  );

  test("in words", () => {
    expect(keepWords(0, 0)).toBe("forever");
    expect(keepWords(7_776_000, 0)).toBe("at least 90d, forever");
    expect(keepWords(7_776_000, 220_903_200)).toBe("at least 90d, at most 7y");
    expect(keepWords(0, 604_800)).toBe("at most 7d");
    expect(keepWords(3_601, 7_200)).toBe("at least 3601s, at most 2h");
  });
});
