import { afterAll, describe, expect, test } from "@jest/globals";
import { ContractReader, largestContract } from "../src/contracts/contract-reader.ts";

const reader = new ContractReader();
afterAll(() => reader.destroy());

const read = (text: string | Uint8Array) => reader.read(Buffer.from(text as string), "text");
/** As many whole lines as fit. */
const filled = (line: (index: number) => string, bytes: number) => {
  let text = "";
  for (let index = 0; text.length + line(index).length <= bytes; index++) text += line(index);
  return text;
};

describe("the text of a contract", () => {
  test.each([
    ["a JSON object", '{"a": [1, 2]}', "json"],
    ["an object in YAML", "a: 1\nb: [c, d]\n", "yaml"],
    ["a YAML object in braces", "{a: 1}", "yaml"],
    ["a byte order mark before it", "\ufeffa: 1", "yaml"],
    ["a key that comes twice, which some YAML has", "a: 1\na: 2\n", "yaml"],
    ["anchors that are used a few times", "a: &a {b: 1}\nc: *a\nd: *a\n", "yaml"],
    ["an object in YAML of 1 MiB", filled((index) => `k${index}: "${"x".repeat(90)}"\n`, largestContract), "yaml"],
    ["an object in JSON of 1 MiB", `{"a": [${"1,".repeat(largestContract / 2 - 10)}1]}`, "json"],
  ])("is %s", async (_what, text, format) => {
    expect(await read(text)).toMatchObject({ format });
  });

  test.each([
    ["a list", "- a\n- b\n", /no object at its top/, 1, 1],
    ["a JSON list", "[1]", /no object at its top/, 1, 1],
    ["a word", "\n\nhello", /no object at its top/, 3, 1],
    ["nothing but a comment", "# nothing\n", /no object at its top/, 1, 1],
    ["YAML that breaks off", "a: 1\nb: [1,\n", /Flow sequence/, 3, 1],
    ["a tab for blanks", "a:\n\tb: 1\n", /[Tt]abs/, 2, 1],
    ["JSON that is none", '{"a": 1,, "b": }', /./, 1, 9],
    ["two documents", "a: 1\n---\nb: 1\n", /multiple documents/, 2, 1],
    ["an alias of nothing", "a: *b\n", /Unresolved alias/, undefined, undefined],
    ["bytes that are no UTF-8", Buffer.from([0x61, 0x3a, 0x20, 0xff]), /UTF-8/, undefined, undefined],
  ])("is not %s", async (_what, text, says, line, column) => {
    const refused = read(text as string);
    await expect(refused).rejects.toMatchObject({ code: "CONTRACT_INVALID", message: expect.stringMatching(says) });
    const place = line === undefined ? {} : { line: String(line), column: String(column) };
    await expect(refused).rejects.toMatchObject({ metadata: expect.objectContaining(place) });
  });

  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (let index = 1; index < 9; index++) {
    const [one, two] = ["abcdefghij"[index - 1], "abcdefghij"[index]];
    bomb.push(`${two}: &${two} [${Array(9).fill(`*${one}`).join(",")}]`);
  }
  test.each([
    ["aliases of aliases", bomb.join("\n"), /Excessive alias count/],
    ["ever deeper lists", `a: ${"[".repeat(8_000)}`, /nested too deeply/],
    ["ever deeper lists, large", `a: ${"[".repeat(290_000)}`, /nested too deeply/],
    ["too many tokens", "a: b\n".repeat(200_000), /more than 300000 tokens/],
    ["a fault in each line", "a: [\n".repeat(50_000), /./],
    ["keys without number", filled((index) => `k${index}: 1\n`, 400_000).concat("- x"), /./],
    ["too many bytes", " ".repeat(largestContract + 1), /at most 1 MiB; came 1048577 bytes/],
  ])(
    "is refused for %s, and nobody waits for it",
    async (_what, text, says) => {
      let longest = 0;
      let last = performance.now();
      const ticks = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 5);
      const refused = await read(text).catch((error: unknown) => error as Error);
      clearInterval(ticks);
      expect(refused).toMatchObject({ code: "CONTRACT_INVALID", message: expect.stringMatching(says) });
      // What is parsed in the event loop takes less even on a busy machine; in one piece the others take seconds.
      expect(longest).toBeLessThan(1_000);
    },
    60_000,
  );
});
