import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";

/** A file of which a reader may choke; made when it is wanted, since most are large. */
export interface NastyFile {
  name: string;
  bytes: () => Buffer;
}

const many = 100_000;
const large = 24 * 1024 * 1024;

const statement =
  '{"_type":"https://in-toto.io/Statement/v1","predicateType":"t","subject":[{"digest":{"sha256":"ab"}}]}';
const base64 = (text: string) => Buffer.from(text).toString("base64");

interface Parts {
  payload?: string;
  payloadType?: string;
  signatures?: string;
  material?: string;
  more?: string;
}

function bundle({
  payload = base64(statement),
  payloadType = "application/vnd.in-toto+json",
  signatures = '[{"sig":"c2ln"}]',
  material = "{}",
  more = "",
}: Parts = {}): string {
  const envelope = `{"payloadType":${JSON.stringify(payloadType)},"payload":"${payload}","signatures":${signatures}}`;
  const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
  return `{"mediaType":"${mediaType}","verificationMaterial":${material},"dsseEnvelope":${envelope}${more}}`;
}

/** A bundle whose statement has these fields beside the needed ones, or in their place. */
function stating(fields: string): string {
  return bundle({ payload: base64(`${statement.slice(0, -1)},${fields}}`) });
}

const repeated = (text: string, count = many) => Array<string>(count).fill(text).join(",");
const arrays = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const numbered = (count: number, entry: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => entry(i)).join(",");

const texts: Record<string, () => string> = {
  "arrays in arrays, 1,000": () => bundle({ material: `{"a":${arrays(1_000)}}` }),
  "arrays in arrays, 100,000": () => bundle({ material: `{"a":${arrays(many)}}` }),
  "objects in objects, 100,000": () => bundle({ material: objects(many) }),
  "arrays in arrays, bare": () => arrays(many),
  "objects in objects, bare": () => objects(many),
  "arrays that never end": () => "[".repeat(large),
  "objects that never end": () => '{"a":'.repeat(large / 5),
  "a predicate of arrays, 100,000": () => stating(`"predicate":${arrays(many)}`),
  "a predicate of objects, 100,000": () => stating(`"predicate":${objects(many)}`),
  "empty objects, millions": () => `[${repeated("{}", large / 3)}]`,
  "escaped quotes, millions": () => `{"a":"${'\\"'.repeat(large / 2)}`,
  "backslashes, millions": () => `{"a":"${"\\".repeat(large)}`,
  "blanks, millions": () => " ".repeat(large),
  "commas, millions": () => `[${",".repeat(large)}`,
  "digits, millions": () => `{"a":${"1".repeat(large)}}`,
  "100,000 signatures": () => bundle({ signatures: `[${repeated('{"sig":"c2ln"}')}]` }),
  "100,000 signatures that are none": () => bundle({ signatures: `[${repeated("null")}]` }),
  "100,000 signatures of one character": () => bundle({ signatures: `[${repeated('{"sig":"c"}')}]` }),
  "100,000 subjects": () =>
    stating(`"subject":[${numbered(many, (i) => `{"name":"n${i}","digest":{"sha256":"${i.toString(16)}"}}`)}]`),
  "100,000 subjects that are one": () => stating(`"subject":[${repeated('{"digest":{"sha256":"ab"}}')}]`),
  "a subject of 100,000 digests": () => stating(`"subject":[{"digest":{${numbered(many, (i) => `"a${i}":"b"`)}}}]`),
  "a subject of 100,000 numbers as digests": () =>
    stating(`"subject":[{"digest":{${numbered(many, (i) => `"${many - i}":"b"`)}}}]`),
  "100,000 fields": () => bundle({ more: `,${numbered(many, (i) => `"f${i}":${i}`)}` }),
  "100,000 fields with escapes": () => bundle({ more: `,${numbered(many, (i) => `"\\u0066${i}":${i}`)}` }),
  "a long name of escapes": () => bundle({ more: `,"${"\\n".repeat(large / 2)}":1` }),
  "a payload twice": () => bundle({ signatures: `[{"sig":"c2ln"}],"pa\\u0079load":"${base64("{}")}"` }),
  "one name 100,000 times": () => bundle({ more: `,${repeated('"mediaType":"x"')}` }),
  "a long name of a subject": () => stating(`"subject":[{"name":"${"n".repeat(large / 2)}","digest":{"sha256":"ab"}}]`),
  "a long digest": () => stating(`"subject":[{"digest":{"sha256":"${"a".repeat(large / 2)}"}}]`),
  "a long algorithm": () => stating(`"subject":[{"digest":{"${"a".repeat(large / 2)}":"ab"}}]`),
  "a long payload type": () => bundle({ payloadType: `application/vnd.in-toto.${"a".repeat(large)}+json` }),
  "a long payload that is no base64 at its end": () => bundle({ payload: `${"A".repeat(large)}*` }),
  "a payload in the alphabet of URLs": () => bundle({ payload: Buffer.from(statement).toString("base64url") }),
  "a payload of blanks": () => bundle({ payload: " ".repeat(large) }),
  "a payload of padding": () => bundle({ payload: "=".repeat(large) }),
  "__proto__ as a field": () => bundle({ more: ',"__proto__":{"dsseEnvelope":null,"polluted":true}' }),
  "__proto__ as an algorithm": () => stating('"subject":[{"digest":{"__proto__":"ab","constructor":"cd"}}]'),
  "constructor.prototype": () => bundle({ more: ',"constructor":{"prototype":{"polluted":true}}' }),
  "half a character": () => stating('"subject":[{"name":"\\ud800","digest":{"sha256":"ab"}}]'),
  "a zero byte": () => stating('"subject":[{"name":"a\\u0000b","digest":{"sha256":"ab"}}]'),
  "2^53 and more": () => stating('"predicate":[9007199254740993,-0,1e999,-1e999,1e-999,0.1e1]'),
};

const binaries: Record<string, () => Buffer> = {
  nothing: () => Buffer.alloc(0),
  "one zero": () => Buffer.alloc(1),
  "zeros, millions": () => Buffer.alloc(large),
  "0xff, millions": () => Buffer.alloc(large, 0xff),
  "a byte order mark alone": () => Buffer.from("\ufeff"),
  "a byte order mark": () => Buffer.from(`\ufeff${bundle()}`),
  "two byte order marks": () => Buffer.from(`\ufeff\ufeff${bundle()}`),
  "UTF-16, little endian": () => Buffer.from(bundle(), "utf16le"),
  "UTF-16, big endian": () => Buffer.from(`\ufeff${bundle()}`, "utf16le").swap16(),
  "overlong UTF-8": () => Buffer.concat([Buffer.from('{"a":"'), Buffer.from("c0af", "hex"), Buffer.from('"}')]),
  "half a character in UTF-8": () =>
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from("eda080", "hex"), Buffer.from('"}')]),
  "JSON after JSON": () => Buffer.from(`${bundle()}\n${bundle()}`),
  "a zero byte at the end": () => Buffer.from(`${bundle()}\0`),
  gzip: () => gzipSync(bundle()),
  "a bomb of gzip": () => gzipSync(Buffer.alloc(large)),
  "a bomb of zlib": () => deflateSync(Buffer.alloc(large)),
  "a bomb of zstd": () => zstdCompressSync(Buffer.alloc(large)),
};

const cutAfter = [1, 2, 17, 64, 120, 200];

/** The corpus. None is larger than a Store takes, so that what refuses each is its reader. */
export const nastyFiles: readonly NastyFile[] = [
  ...Object.entries(texts).map(([name, text]) => ({ name, bytes: () => Buffer.from(text()) })),
  ...Object.entries(binaries).map(([name, bytes]) => ({ name, bytes })),
  ...cutAfter.map((length) => ({
    name: `cut after ${length}`,
    bytes: () => Buffer.from(bundle()).subarray(0, length),
  })),
];
