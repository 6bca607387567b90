import { randomInt } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { findJsonFault } from "../src/json-fault.ts";
import { excessOf } from "../src/json-shape.ts";
import { DEFAULT_LIMITS } from "../src/limits.ts";

const { jsonContainers: MAX_JSON_CONTAINERS, jsonDepth: MAX_JSON_DEPTH } = DEFAULT_LIMITS;

import { fixture } from "./support.ts";

describe("the fault of a JSON text", () => {
  test.each<[string, number, string]>([
    ["", 0, "a JSON value"],
    ["{", 1, 'a name in quotes or "}"'],
    ["[", 1, "a JSON value"],
    ["[1", 2, '"," or "]"'],
    ["[1,]", 3, "a JSON value"],
    ['{"a"', 4, '":"'],
    ['{"a":', 5, "a JSON value"],
    ['{"a":1', 6, '"," or "}"'],
    ['{"a":1,}', 7, "a name in quotes"],
    ["{'a':1}", 1, 'a name in quotes or "}"'],
    ["[1}", 2, '"," or "]"'],
    ["[01]", 2, '"," or "]"'],
    ["[1.]", 3, "a digit"],
    ["[1e]", 3, "a digit"],
    ["[-]", 2, "a digit"],
    ["[+1]", 1, "a JSON value"],
    ["[.5]", 1, "a JSON value"],
    ["[NaN]", 1, "a JSON value"],
    ["nul", 3, "null"],
    ["[True]", 1, "a JSON value"],
    ["[trve]", 3, "true"],
    ['"a', 2, "the end of a string"],
    ['"a\\', 3, "a JSON escape"],
    ['"\n"', 1, "no bare control character in a string"],
    ['"\\x41"', 2, "a JSON escape"],
    ['"\\u12g4"', 5, "four hexadecimal digits"],
    ["\f1", 0, "a JSON value"],
    ["\u00a0{}", 0, "a JSON value"],
    ["{} x", 3, "the end"],
    ["// c\n{}", 0, "a JSON value"],
  ])("%j", (text, offset, expected) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect(findJsonFault(text)).toMatchObject({ offset, expected });
  });

  test("is found exactly where JSON.parse finds one", () => {
    const good = fixture("C04-git-commit.json")
      .toString()
      .replace(/[A-Za-z0-9+/]{100,}/g, "QUJD");
    const seeds = [good, '[1,-2.5e+7,true,false,null,"a\\u00e9\\n",{"a":[],"b":{}}]', '{"a":{"b":[[[0]]]}}'];
    const pieces = ["{", "}", "[", "]", ",", ":", '"', "\\", "0", "1", "-", ".", "e", "n", "t", " ", "\n", "\0", "é"];
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const seed = seeds[i % seeds.length] ?? "";
      const at = randomInt(seed.length);
      const piece = pieces[randomInt(pieces.length)] ?? "";
      const text = seed.slice(0, at) + piece + seed.slice(at + randomInt(3));
      try {
        JSON.parse(text);
      } catch (error) {
        refused++;
        const { offset } = findJsonFault(text);
        const position = /at position (\d+)/.exec(String(error))?.[1];
        expect([text, offset]).toEqual([text, position === undefined ? offset : Number(position)]);
        expect(offset).toBeLessThanOrEqual(text.length);
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});

describe("the shape of a JSON text", () => {
  test.each<[string, string, boolean]>([
    ["deep", "[".repeat(MAX_JSON_DEPTH), true],
    ["too deep", "[".repeat(MAX_JSON_DEPTH + 1), false],
    ["objects too deep", '{"a":'.repeat(200_000), false],
    ["wide", `[${"[],".repeat(MAX_JSON_CONTAINERS - 1)}0]`, true],
    ["too wide", `[${"{},".repeat(MAX_JSON_CONTAINERS)}0]`, false],
    ["brackets in a string", `["${"[".repeat(200_000)}"]`, true],
    ["brackets in a string after escaped quotes", `["\\\\\\"${"[".repeat(200_000)}\\\\"]`, true],
    ["brackets after a string that ends in a backslash", `["\\\\"${"[".repeat(200_000)}`, false],
    ["a string without an end", `"${"[".repeat(200_000)}`, true],
  ])("%s", (_, text, good) => {
    expect(excessOf(text, DEFAULT_LIMITS) === undefined).toBe(good);
  });
});
