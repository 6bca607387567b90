import { DomainError, fileNameBytes } from "@attestry/service-kit";
import { GobFault, GobReader, gobInt, gobPart, gobString, gobUint } from "./gob.ts";

// The chainloop client names an upload by the base64 (RFC 4648, section 4) of a gob of the struct
//
//     type CASResource struct { FileName, Digest string; Size int64 }
//
// A gob is a message that describes the type, and one with the value, each with its length before it ("Encoding Details",
// https://pkg.go.dev/encoding/gob). A client whose struct has other fields of basic types describes them, so that they
// can be passed over.

export interface CasResource {
  /** Empty: none. */
  fileName: string;
  /** Lower-case hex of the blob's SHA-256. */
  hex: string;
  /** In bytes; undefined: the client does not say. */
  sizeBytes: number | undefined;
}

/** Far more than a struct with the longest file name has. */
const nameCharacters = 4_096;
const typeName = "CASResource";
/** Ids of types, in the order in which gob defines them. */
const basic = { bool: 1n, int: 2n, uint: 3n, float: 4n, bytes: 5n, string: 6n, complex: 7n };
/** The first that a program gives to a type of its own. */
const firstOwnType = 64n;
const known = { FileName: basic.string, Digest: basic.string, Size: basic.int } as const;
const base64Pattern = /^[A-Za-z0-9+/]+={0,2}$/;
const hexPattern = /^[0-9a-f]{64}$/;

/**
 * Whether a resource name can be one of the chainloop client. No name of an upload of the Remote Execution API is: its UUID
 * has dashes.
 */
export function isCasResourceName(name: string): boolean {
  return base64Pattern.test(name);
}

/** Throws RESOURCE_NAME_INVALID, which says what was expected. */
export function parseCasResourceName(name: string): CasResource {
  try {
    return resourceOf(decodeBase64(name));
  } catch (fault) {
    if (!(fault instanceof GobFault)) throw fault;
    const { expected, actual } = fault;
    throw new DomainError(
      "RESOURCE_NAME_INVALID",
      `a resource name of the chainloop client is base64 of a Go gob of ${typeName}{FileName, Digest string; Size int64}: expected ${expected}, got ${actual}`,
      { metadata: { resource_name: name.slice(0, 300), expected, actual } },
    );
  }
}

/** As the client does: fields that are zero or empty are left out. */
export function formatCasResourceName({ fileName, hex, sizeBytes = 0 }: CasResource): string {
  const values = [
    fileName === "" ? undefined : gobString(fileName),
    hex === "" ? undefined : gobString(hex),
    sizeBytes === 0 ? undefined : gobInt(BigInt(sizeBytes)),
  ];
  const value = Buffer.concat([gobInt(firstOwnType), structOf(values)]);
  return Buffer.concat([gobPart(typeMessage()), gobPart(value)]).toString("base64");
}

function decodeBase64(name: string): Uint8Array {
  if (name.length > nameCharacters) throw new GobFault(`at most ${nameCharacters} characters`, String(name.length));
  const bytes = Buffer.from(name, "base64");
  if (bytes.toString("base64") !== name)
    throw new GobFault("base64 with its padding", JSON.stringify(name.slice(0, 100)));
  return bytes;
}

function resourceOf(bytes: Uint8Array): CasResource {
  const stream = new GobReader(bytes);
  const described = stream.part("the type's message");
  const { id, fields } = typeOf(described);
  const message = stream.part("the value's message");
  stream.end("the value's message");
  const valueId = message.int("the value's type");
  if (valueId !== id) throw new GobFault(`a value of the type ${id}`, String(valueId));
  const values = new Map<string, string | bigint>();
  for (const number of message.fields("the value")) {
    const field = fields[number];
    if (field === undefined) throw new GobFault(`one of ${fields.length} fields`, `field ${number}`);
    const value = fieldValue(message, field);
    if (field.name in known && value !== undefined) values.set(field.name, value);
  }
  message.end("the value");
  return checked(values);
}

function checked(values: ReadonlyMap<string, string | bigint>): CasResource {
  const fileName = String(values.get("FileName") ?? "");
  const hex = String(values.get("Digest") ?? "");
  const size = BigInt(values.get("Size") ?? 0n);
  const nameBytes = Buffer.byteLength(fileName);
  if (nameBytes > fileNameBytes) throw new GobFault(`a FileName of at most ${fileNameBytes} bytes`, String(nameBytes));
  if (!hexPattern.test(hex))
    throw new GobFault("a Digest of 64 lower-case hex digits", JSON.stringify(hex.slice(0, 100)));
  if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw new GobFault("a Size from 0 to 2^53 - 1", String(size));
  return { fileName, hex, sizeBytes: size === 0n ? undefined : Number(size) };
}

interface Field {
  name: string;
  type: bigint;
}

/** The wireType of the struct: its id, negated, and in the field StructT (2) its common type (0) and its fields (1). */
function typeOf(message: GobReader): { id: bigint; fields: Field[] } {
  const id = -message.int("the type's id");
  if (id < firstOwnType) throw new GobFault("first the description of a type", `the id ${-id}`);
  const seen: { name: string; id: bigint; fields: Field[] } = { name: "", id: 0n, fields: [] };
  for (const kind of message.fields("the type")) {
    if (kind !== 2) throw new GobFault("a struct", `a type of the kind ${kind}`);
    for (const part of message.fields("the struct")) {
      if (part === 0) Object.assign(seen, commonOf(message));
      else if (part === 1) seen.fields = fieldsOf(message);
      else throw new GobFault("a struct's name and fields", `a part ${part}`);
    }
  }
  message.end("the type");
  if (seen.name !== typeName) throw new GobFault(`the type ${typeName}`, JSON.stringify(seen.name.slice(0, 100)));
  if (seen.id !== id) throw new GobFault(`the type's id ${id}`, String(seen.id));
  return { id, fields: seen.fields };
}

function commonOf(message: GobReader): { name: string; id: bigint } {
  let [name, id] = ["", 0n];
  for (const part of message.fields("the common type")) {
    if (part === 0) name = message.string("the type's name");
    else if (part === 1) id = message.int("the type's id");
    else throw new GobFault("a type's name and id", `a part ${part}`);
  }
  return { name, id };
}

function fieldsOf(message: GobReader): Field[] {
  const fields: Field[] = [];
  for (let left = message.count("the number of fields"); left > 0; left--) {
    const { name, id: type } = commonOf(message);
    if (fields.some((field) => field.name === name)) throw new GobFault("fields of different names", `${name} twice`);
    const wanted = name in known ? known[name as keyof typeof known] : undefined;
    if (wanted !== undefined && type !== wanted) throw new GobFault(`${name} of the type ${wanted}`, String(type));
    if (type < basic.bool || type > basic.complex)
      throw new GobFault("fields of basic types", `${name.slice(0, 100)} of the type ${type}`);
    fields.push({ name, type });
  }
  return fields;
}

/** Undefined: of a type that no known field has; it was passed over. */
function fieldValue(message: GobReader, { name, type }: Field): string | bigint | undefined {
  if (type === basic.string && name in known) return message.string(name);
  if (type === basic.int) return message.int(name);
  if (type === basic.bytes || type === basic.string) {
    message.part(name);
    return undefined;
  }
  message.uint(name);
  // The imaginary part.
  if (type === basic.complex) message.uint(name);
  return undefined;
}

function typeMessage(): Uint8Array {
  const fields = Object.entries(known).map(([name, type]) => structOf([gobString(name), gobInt(type)]));
  const struct = structOf([
    structOf([gobString(typeName), gobInt(firstOwnType)]),
    Buffer.concat([gobUint(BigInt(fields.length)), ...fields]),
  ]);
  return Buffer.concat([gobInt(-firstOwnType), structOf([undefined, undefined, struct])]);
}

/** Undefined: zero, which is left out. */
function structOf(values: readonly (Uint8Array | undefined)[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let last = -1;
  for (const [number, value] of values.entries()) {
    if (value === undefined) continue;
    pieces.push(gobUint(BigInt(number - last)), value);
    last = number;
  }
  return Buffer.concat([...pieces, Uint8Array.of(0)]);
}
