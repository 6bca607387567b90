import fc from "fast-check";
import { anyText } from "./text.ts";

/** JSON as text, so that it may be what no value can be written as: repeated names, 1e999, escapes of halves of characters. */
export type JsonText = string;

const numbers = fc.oneof(
  fc.constantFrom(
    "0",
    "-0",
    "1",
    "-1",
    "1e999",
    "-1e999",
    "1e-999",
    "9007199254740993",
    "0.1",
    "1E+2",
    `1${"0".repeat(400)}`,
  ),
  fc.integer().map(String),
);

/** JSON.stringify escapes what is half of a character; some writers send it bare, which UTF-8 cannot. */
export const stringTexts: fc.Arbitrary<JsonText> = anyText.map((text) => JSON.stringify(text));

const scalars = fc.oneof(stringTexts, numbers, fc.constantFrom("true", "false", "null"));

export const anyJson: fc.Arbitrary<JsonText> = fc.letrec<{ value: JsonText; list: JsonText; object: JsonText }>(
  (tie) => ({
    value: fc.oneof({ maxDepth: 3, withCrossShrink: true }, scalars, tie("list"), tie("object")),
    list: fc.array(tie("value"), { maxLength: 4 }).map((values) => `[${values.join(",")}]`),
    object: fc
      .array(fc.tuple(stringTexts, tie("value")), { maxLength: 4 })
      .map((entries) => `{${entries.map(([name, value]) => `${name}:${value}`).join(",")}}`),
  }),
).value;

const oddNames = ["__proto__", "constructor", "prototype", "toJSON", "length", "", "then"];

/** What is done to one field of an object. */
type Treatment = "as it should be" | "left out" | "another" | "twice" | "in other case";

const treatments: fc.Arbitrary<Treatment> = fc.oneof(
  { weight: 60, arbitrary: fc.constant<Treatment>("as it should be") },
  { weight: 1, arbitrary: fc.constantFrom<Treatment>("left out", "another", "twice", "in other case") },
);

/** An object with these fields: each as it should be or, now and then, not; perhaps with others beside them. */
export function objectOf(fields: Record<string, fc.Arbitrary<JsonText>>): fc.Arbitrary<JsonText> {
  const entries = Object.entries(fields).map(([name, good]) =>
    treatments.chain((treatment) => entryOf(name, treatment, good)),
  );
  const others = fc.oneof(
    { weight: 5, arbitrary: fc.constant<string[]>([]) },
    {
      weight: 1,
      arbitrary: fc.array(
        fc
          .tuple(fc.oneof(fc.constantFrom(...oddNames, ...Object.keys(fields)), anyText), anyJson)
          .map(([name, value]) => `${JSON.stringify(name)}:${value}`),
        { minLength: 1, maxLength: 3 },
      ),
    },
  );
  return fc
    .tuple(fc.tuple(...entries), others, fc.boolean())
    .map(([own, more, isFirst]) => `{${(isFirst ? [...more, ...own.flat()] : [...own.flat(), ...more]).join(",")}}`);
}

function entryOf(name: string, treatment: Treatment, good: fc.Arbitrary<JsonText>): fc.Arbitrary<string[]> {
  const entry = (value: JsonText, called = name) => `${JSON.stringify(called)}:${value}`;
  switch (treatment) {
    case "left out":
      return fc.constant([]);
    case "another":
      return anyJson.map((value) => [entry(value)]);
    case "twice":
      return fc.tuple(good, fc.oneof(good, anyJson)).map((values) => values.map((value) => entry(value)));
    case "in other case":
      return good.map((value) => [entry(value, name.toUpperCase())]);
    default:
      return good.map((value) => [entry(value)]);
  }
}

/** A list of them; now and then empty, or with something else within. */
export function listOf(items: fc.Arbitrary<JsonText>, maxLength: number): fc.Arbitrary<JsonText> {
  return fc
    .oneof(
      { weight: 30, arbitrary: fc.array(items, { minLength: 1, maxLength }) },
      { weight: 1, arbitrary: fc.array(fc.oneof(items, anyJson), { maxLength }) },
    )
    .map((values) => `[${values.join(",")}]`);
}
