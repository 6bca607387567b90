/** What a gob should have had, and what it has. */
export class GobFault extends Error {
  readonly expected: string;
  readonly actual: string;

  constructor(expected: string, actual: string) {
    super(`expected ${expected}, got ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Of an unsigned integer; one byte more says how many they are. */
const mostIntegerBytes = 8;

/**
 * The primitives of Go's encoding/gob, from its documentation ("Encoding Details", https://pkg.go.dev/encoding/gob), over
 * bytes that are all there. Every read throws GobFault where the bytes are not what they should be, or end.
 */
export class GobReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  /** Less than 128: one byte; else the negated number of bytes that follow, big-endian and as few as can be. */
  uint(what: string): bigint {
    const first = this.#byte(what);
    if (first < 0x80) return BigInt(first);
    const count = 0x100 - first;
    if (count > mostIntegerBytes) throw new GobFault(`${what} of at most ${mostIntegerBytes} bytes`, `${count} bytes`);
    const bytes = this.bytes(count, what);
    const value = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
    if (value < 0x80n || bytes[0] === 0)
      throw new GobFault(`${what} in as few bytes as it needs`, `${value} in ${count}`);
    return value;
  }

  /** An unsigned integer whose lowest bit says whether the others are complemented. */
  int(what: string): bigint {
    const value = this.uint(what);
    return (value & 1n) === 1n ? ~(value >> 1n) : value >> 1n;
  }

  /** An unsigned integer that the rest of the bytes bounds. */
  count(what: string): number {
    const value = this.uint(what);
    if (value > BigInt(this.left)) throw new GobFault(`${what} of at most ${this.left}`, String(value));
    return Number(value);
  }

  bytes(length: number, what: string): Uint8Array {
    if (length > this.left) throw new GobFault(`${what} of ${length} bytes`, `the end after ${this.left}`);
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  string(what: string): string {
    const bytes = this.bytes(this.count(`the length of ${what}`), what);
    try {
      return utf8.decode(bytes);
    } catch {
      throw new GobFault(`${what} in UTF-8`, Buffer.from(bytes).toString("latin1").slice(0, 100));
    }
  }

  /** A part with its length before it. */
  part(what: string): GobReader {
    return new GobReader(this.bytes(this.count(`the length of ${what}`), what));
  }

  end(what: string): void {
    if (this.left > 0) throw new GobFault(`nothing after ${what}`, `${this.left} bytes`);
  }

  /**
   * A struct: each field that is not zero with its number, as what it adds to the one before; then 0. Fields are numbered
   * from 0, in their order.
   */
  *fields(what: string): Generator<number, void, void> {
    let field = -1n;
    for (let delta = this.uint(what); delta !== 0n; delta = this.uint(what)) {
      field += delta;
      if (field > 1_000n) throw new GobFault(`fields of ${what}`, `a field ${field}`);
      yield Number(field);
    }
  }

  #byte(what: string): number {
    const [byte] = this.bytes(1, what);
    return byte as number;
  }
}

export function gobUint(value: bigint): Uint8Array {
  if (value < 0x80n) return Uint8Array.of(Number(value));
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return Buffer.concat([Uint8Array.of(0x100 - bytes.byteLength), bytes]);
}

export function gobInt(value: bigint): Uint8Array {
  return gobUint(value < 0n ? (~value << 1n) | 1n : value << 1n);
}

export function gobString(text: string): Uint8Array {
  return gobPart(Buffer.from(text));
}

/** With its length before it. */
export function gobPart(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([gobUint(BigInt(bytes.byteLength)), bytes]);
}
