/** An element of DER (ITU-T X.690, section 8.1). */
export type Element = { tag: number; contents: Buffer };

const CONSTRUCTED = 0x20;
/** Its number follows in more octets; X.509 has none such. */
const LONG_TAG = 0x1f;
/** Of a length: enough for 4 GiB. */
const MOST_OCTETS = 4;
/** Certificates have about 10; recursion has to end. */
const MOST_LEVELS = 100;

/**
 * The elements that fill these bytes, in their order. All that they hold is looked through: each length in the one
 * encoding that DER has, each element within the one around it.
 *
 * @throws Error: the bytes are not DER. What it says is for nobody.
 */
export function readDer(bytes: Buffer): Element[] {
  checkLevel(bytes, 0, bytes.length, 1);
  return elementsOf(bytes);
}

/** The elements that one of readDer's holds; none if it is primitive. */
export function childrenOf({ tag, contents }: Element): Element[] {
  return (tag & CONSTRUCTED) === 0 ? [] : elementsOf(contents);
}

function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [from, to] = placeOf(bytes, at, bytes.length);
    elements.push({ tag: bytes.readUInt8(at), contents: bytes.subarray(from, to) });
    at = to;
  }
  return elements;
}

function checkLevel(bytes: Buffer, from: number, to: number, level: number): void {
  if (level > MOST_LEVELS) {
    throw new Error("too many levels");
  }
  for (let at = from; at < to; ) {
    const [begin, end] = placeOf(bytes, at, to);
    const tag = bytes.readUInt8(at);
    if (tag === 0 || (tag & LONG_TAG) === LONG_TAG) {
      throw new Error("no tag of X.509");
    }
    if ((tag & CONSTRUCTED) !== 0) {
      checkLevel(bytes, begin, end, level + 1);
    }
    at = end;
  }
}

// Where the contents of the element at `at` begin and end.
function placeOf(bytes: Buffer, at: number, end: number): [from: number, to: number] {
  let from = at + 2;
  let length = bytes.readUInt8(at + 1);
  if (length >= 0x80) {
    const octets = length - 0x80;
    // Neither an indefinite length, nor zeros in front, nor the long form for what the short one can say.
    if (octets === 0 || octets > MOST_OCTETS || bytes.readUInt8(from) === 0) {
      throw new Error("no length of DER");
    }
    length = bytes.readUIntBE(from, octets);
    from += octets;
    if (length < 0x80) {
      throw new Error("no length of DER");
    }
  }
  if (from + length > end) {
    throw new Error("longer than what is around it");
  }
  return [from, from + length];
}
