import type { DescEnum, DescField, DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

export type Plain = Record<string, unknown>;

/**
 * A message as an object for JSON output: field names as in the JSON mapping of protobuf, but enums as short
 * lower-case words ("given-up"; null when unspecified) and 64-bit integers as numbers. Every field is there.
 */
export function plain<D extends DescMessage>(schema: D, message: MessageShape<D>): Plain {
  const values = message as unknown as Record<string, unknown>;
  return Object.fromEntries(schema.fields.map((field) => [field.jsonName, plainField(field, values[field.localName])]));
}

/** The word for a value of an enum, as the output and the options have it; null for the unspecified one. */
export function enumWord(desc: DescEnum, value: number): string | null {
  return value === 0 ? null : wordOf(desc.value[value]?.localName ?? String(value));
}

/** The words that an option for this enum takes. */
export function enumWords(desc: DescEnum): string[] {
  return desc.values.filter(({ number }) => number !== 0).map(({ localName }) => wordOf(localName));
}

/** The value for a word of `enumWords`; undefined for any other word. */
export function enumValue<E extends number>(desc: DescEnum, word: string): E | undefined {
  return desc.values.find(({ number, localName }) => number !== 0 && wordOf(localName) === word)?.number as
    | E
    | undefined;
}

function wordOf(localName: string): string {
  return localName.toLowerCase().replaceAll("_", "-");
}

function plainField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "scalar":
      return plainScalar(value);
    case "enum":
      return enumWord(field.enum, (value as number | undefined) ?? 0);
    case "message":
      return value === undefined ? null : plainMessage(field.message, value as Message);
    case "list":
      return (value as unknown[]).map((item) => plainItem(field, item));
    case "map":
      return value;
  }
}

function plainItem(field: DescField & { fieldKind: "list" }, item: unknown): unknown {
  if (field.listKind === "message") return plainMessage(field.message, item as Message);
  return field.listKind === "enum" ? enumWord(field.enum, item as number) : plainScalar(item);
}

function plainMessage(schema: DescMessage, message: Message): unknown {
  if (schema.typeName === TimestampSchema.typeName) return toJson(TimestampSchema, message as Timestamp);
  if (schema.typeName === DurationSchema.typeName) return toJson(DurationSchema, message as Duration);
  return plain(schema, message);
}

function plainScalar(value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}
