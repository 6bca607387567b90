// First bytes of the formats in which bundles arrive by mistake. None of them can begin a JSON text.
const MAGICS: readonly (readonly [format: string, magic: readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]], // RFC 1952 section 2.3.1
  ["compress", [0x1f, 0x9d]],
  ["Zstandard", [0x28, 0xb5, 0x2f, 0xfd]], // RFC 8878 section 3.1.1
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["7z", [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
  ["ZIP", [0x50, 0x4b, 0x03, 0x04]],
  ["lzip", [0x4c, 0x5a, 0x49, 0x50]],
  ["LZ4", [0x04, 0x22, 0x4d, 0x18]],
  ["Snappy", [0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]], // framing_format.txt section 4.1
  ["S2", [0xff, 0x06, 0x00, 0x00, 0x53, 0x32, 0x73, 0x54, 0x77, 0x4f]],
  ["zlib", [0x78, 0x01]], // RFC 1950 section 2.2, by level
  ["zlib", [0x78, 0x5e]],
  ["zlib", [0x78, 0x9c]],
  ["zlib", [0x78, 0xda]],
];

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;
// What can open the text that was compressed: white space, an object, an array or a byte order mark.
const TEXT_STARTS = new Set([0x09, 0x0a, 0x0d, 0x20, 0x5b, 0x7b, BYTE_ORDER_MARK[0]]);
// A copy of 64 bytes takes 3, so no block unpacks to more than this times its size.
const SNAPPY_MAX_RATIO = 22;
// Nothing in the first characters of a bundle repeats; and UTF-16 with a mark reads as a block whose literal is 1 byte.
const SNAPPY_MIN_LITERAL = 8;

/** The name of the compression format that the bytes are in, if they are: by magic number, and for Snappy by shape. */
export function compressionOf(bytes: Uint8Array): string | undefined {
  for (const [format, magic] of MAGICS) {
    if (startsWith(bytes, magic)) {
      return format;
    }
  }
  return isSnappyBlock(bytes) ? "Snappy" : undefined;
}

/**
 * A bare Snappy block has no magic number: it is the length of what it unpacks to, as a varint, then a literal, which
 * for a bundle starts as JSON does (google/snappy, format_description.txt sections 1 and 2.1).
 */
function isSnappyBlock(bytes: Uint8Array): boolean {
  // A bundle has 128 bytes or more, so the varint has a second byte; which also rules out every JSON text without mark.
  if ((bytes[0] ?? 0) < 0x80 || startsWith(bytes, BYTE_ORDER_MARK)) {
    return false;
  }
  let unpacked = 0;
  let at = 0;
  for (let more = true; more; at++) {
    const byte = bytes[at];
    if (byte === undefined || at === 5) {
      return false;
    }
    unpacked += (byte & 0x7f) * 2 ** (7 * at);
    more = byte >= 0x80;
  }
  const tag = bytes[at++] ?? 0xff;
  if ((tag & 0b11) !== 0) {
    return false;
  }
  let literal = tag >> 2;
  const lengthBytes = literal - 59;
  if (lengthBytes > 0) {
    literal = 0;
    for (let i = 0; i < lengthBytes; i++) {
      literal += (bytes[at++] ?? 0xff) * 2 ** (8 * i);
    }
  }
  literal += 1;
  return (
    literal >= SNAPPY_MIN_LITERAL &&
    literal <= unpacked &&
    literal <= bytes.length - at &&
    unpacked <= bytes.length * SNAPPY_MAX_RATIO &&
    TEXT_STARTS.has(bytes[at] ?? 0)
  );
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}
