import { type DescField, type DescMessage, type MessageShape, ScalarType, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Of what stands before each message: the flag of compression, and the length in four bytes. */
export const prefixBytes = 5;

/** From here on copying a field twice, as the encoder does, costs more than a write of its own. */
const largeBytes = 16 * 1024;
const bytesFields = new WeakMap<DescMessage, readonly DescField[]>();

/**
 * A message with its length before it (gRPC over HTTP/2, "Length-Prefixed-Message"), in pieces to be sent one after the
 * other. A large field of bytes is passed on as it is, behind the other fields, whose order is free in protobuf: it must
 * not be written into before it is sent.
 */
export function lengthPrefixed(schema: DescMessage, message: MessageShape<DescMessage>): Uint8Array[] {
  const fields = message as unknown as Record<string, unknown>;
  for (const field of bytesFieldsOf(schema)) {
    const value = fields[field.localName];
    if (!(value instanceof Uint8Array) || value.length < largeBytes) continue;
    const rest = toBinary(schema, without(message, field.localName));
    const tag = new BinaryWriter().tag(field.number, WireType.LengthDelimited).uint32(value.length).finish();
    return [prefixOf(rest.length + tag.length + value.length), rest, tag, value];
  }
  const whole = toBinary(schema, message);
  return [prefixOf(whole.length), whole];
}

/** Those of which a message has one at most, and not in the place of another. */
function bytesFieldsOf(schema: DescMessage): readonly DescField[] {
  let found = bytesFields.get(schema);
  if (found === undefined) {
    found = schema.fields.filter(
      (field) => field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES && field.oneof === undefined,
    );
    bytesFields.set(schema, found);
  }
  return found;
}

/** A field of bytes that is present twice has its last value, so an empty one before it says nothing. */
function without<T extends object>(message: T, field: string): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message, { [field]: new Uint8Array() });
}

function prefixOf(length: number): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}
