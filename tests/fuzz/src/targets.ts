import { constants, zstdCompressSync } from "node:zlib";
import {
  digestFromBytes,
  digestOf,
  parseBundle,
  parseDigest,
  parseStatement,
  subjectDigests,
  summarize,
} from "@attestry/bundle";
import {
  createAuthenticator,
  decodePageToken,
  fileNameBytes,
  Keyring,
  readSettings,
  setting,
} from "@attestry/service-kit";
import { readSigningRequest } from "@attestry/service-kit/certificates";
import fc from "fast-check";
import { parseCasResourceName } from "../../../packages/chainloop-compat/src/cas/index.ts";
import { parseDigestMessage } from "../../../services/cas-gateway/src/blobs/blob-ref.ts";
import { parseReadName, parseWriteName } from "../../../services/cas-gateway/src/blobs/resource-name.ts";
import { decompressed } from "../../../services/cas-gateway/src/blobs/zstd.ts";
import { parseBlobUrl } from "../../../services/cas-gateway/src/http/blob-url.ts";
import { parseSecret } from "../../../services/cas-gateway/src/secrets/secret.ts";
import { bundles, bundlesWithMutatedStatements, mutatedBundles, statements } from "./grammar/bundle.ts";
import { anyBytes, encoded, mutated } from "./grammar/bytes.ts";
import { chainloopNames } from "./grammar/chainloop-names.ts";
import { cursors, scope } from "./grammar/cursor.ts";
import { digests, hex } from "./grammar/digest.ts";
import { anyJson, objectOf, stringTexts } from "./grammar/json.ts";
import { blobUrls, resourceNames } from "./grammar/names.ts";
import { isOriginalKey, signingRequests } from "./grammar/signing-request.ts";
import { anyText } from "./grammar/text.ts";
import { authorizations, newSigningKey, tokens } from "./grammar/token.ts";
import { hasNamesOnce } from "./names-once.ts";
import { promise, type Target, target } from "./target.ts";
import { chainloopTargets } from "./targets/chainloop.ts";
import { idTokenTarget } from "./targets/id-token.ts";
import { verificationTargets } from "./targets/verification.ts";

/** What a bundle that was accepted is relied upon for, by the database and by verifiers. */
function readBundle(bytes: Buffer): void {
  const before = digestOf(bytes);
  const parsed = parseBundle(bytes);
  const { envelope, statement } = parsed;
  promise(digestOf(bytes) === before, "the bytes were changed");
  promise(hasNamesOnce(bytes.toString()), "a name twice: two readings");
  promise(envelope.signatures.length > 0, "no signature");
  promise(
    envelope.signatures.every(({ sig }) => sig.length > 0),
    "an empty signature",
  );
  promise(statement.subjects.length > 0, "no subject");
  const { policies, materialKeysJson, dependencies } = summarize(parsed);
  for (const key of [...subjectDigests(statement), ...(JSON.parse(materialKeysJson) as string[])])
    promise(!key.includes("\0") && key.isWellFormed(), "a key no text can hold");
  for (const digest of dependencies) promise(/^sha256:[0-9a-f]{64}$/.test(digest), "no digest");
  for (const count of Object.values(policies ?? {}))
    promise(typeof count !== "number" || (Number.isInteger(count) && count >= 0 && count < 2 ** 31), "no count");
  promise(!("polluted" in {}), "the prototype of all objects was changed");
}

const sizeBytes = 5_000;
const plainBlobs = fc
  .uint8Array({ minLength: sizeBytes, maxLength: sizeBytes, size: "max" })
  .map((bytes) => Buffer.from(bytes));

/** What came as one that is compressed by zstd: frames, some of which are skippable, whole or with faults. */
const zstdBodies = fc
  .array(
    fc.oneof(
      fc.nat(sizeBytes).map((length) => zstdCompressSync(Buffer.alloc(length, "attestry"))),
      fc.nat(300).map((length) => {
        const params = { [constants.ZSTD_c_checksumFlag]: 1 };
        return zstdCompressSync(Buffer.alloc(length, 1), { params });
      }),
      fc.nat(40).map((length) => {
        const frame = Buffer.alloc(8 + length);
        frame.writeUInt32LE(0x184d2a50 + (length % 16));
        frame.writeUInt32LE(length, 4);
        return frame;
      }),
    ),
    { maxLength: 4 },
  )
  .map((frames) => Buffer.concat(frames));

async function decompress([body, piece]: [Buffer, number]): Promise<void> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += piece) yield body.subarray(at, at + piece);
  }
  let came = 0;
  const options = { organization: "fuzz", sizeBytes, signal: new AbortController().signal };
  for await (const bytes of decompressed(pieces(), options)) came += bytes.length;
  promise(came <= sizeBytes, "more bytes than the blob has");
}

function settingOf(kind: number, text: string): void {
  const spec = { env: "X", doc: "a setting" };
  const kinds = [
    setting.integer({ ...spec, min: 1, max: 1_000 }),
    setting.milliseconds(spec),
    setting.address(spec),
    setting.optionalUrl(spec),
    setting.listen({ ...spec, default: "127.0.0.1:1" }),
    setting.flag(spec),
  ];
  readSettings({ x: kinds[kind % kinds.length] ?? setting.text(spec) }, { X: text });
}

const settingTexts = fc.oneof(
  anyText,
  fc.tuple(fc.integer(), fc.constantFrom("", "ms", "s", "m", "h", "d", "y")).map((parts) => parts.join("")),
  fc.tuple(fc.constantFrom("127.0.0.1", "[::1]", "::", "localhost", ""), fc.integer()).map((parts) => parts.join(":")),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc.constantFrom("http://", "https://user:secret@host", "file:///etc/passwd", "http://[::1", "http://a:99999", "//a"),
);

const secretFiles = objectOf({
  provider: fc.constantFrom('"s3"', '"filesystem"'),
  path: fc.constantFrom('"/data"', '"relative"'),
  endpoint: fc.oneof(fc.constantFrom('"http://127.0.0.1:9000"', '"ftp://x"', '"http://x/path"'), stringTexts),
  bucket: fc.oneof(fc.constant('"bucket"'), stringTexts),
  accessKey: stringTexts,
  secretKey: stringTexts,
  ca: fc.oneof(stringTexts, fc.constant('"-----BEGIN CERTIFICATE-----AA-----END CERTIFICATE-----"')),
  sse: fc.oneof(fc.constantFrom('"AES256"', '{"kms":"k"}'), anyJson),
  prefix: stringTexts,
});

/** All of them. Together their cases are what CI tries. */
export async function createTargets(): Promise<Target[]> {
  const workflowRun = newSigningKey("workflow-run");
  const gateway = newSigningKey("cas-gateway").jwk;
  const keyring = await Keyring.of(gateway, [workflowRun.jwk, gateway]);
  const authenticator = createAuthenticator({ keyring });
  const bearer = tokens(workflowRun);
  const headerTexts = authorizations(fc.oneof(bearer, anyText));
  return [
    target("bundles by their grammar", 12_000, bundles, readBundle),
    target("real bundles with faults", 11_000, mutatedBundles, readBundle),
    target("statements with faults, in whole bundles", 8_000, bundlesWithMutatedStatements, readBundle),
    target("any bytes as a bundle", 3_000, anyBytes, readBundle),
    target("statements by their grammar", 8_000, encoded(statements), parseStatement),
    target("resource names to read", 5_000, resourceNames, parseReadName),
    target("resource names to write", 5_000, resourceNames, (name) => {
      const { fileName = "" } = parseWriteName(name);
      promise(fileName.isWellFormed() && Buffer.byteLength(fileName) <= fileNameBytes, "a name no header can hold");
    }),
    target("chainloop's resource names", 5_000, chainloopNames, (name) => {
      const { hex: digest, fileName } = parseCasResourceName(name);
      promise(/^[0-9a-f]{64}$/.test(digest), "a digest in another spelling");
      promise(fileName.isWellFormed() && Buffer.byteLength(fileName) <= fileNameBytes, "a name no header can hold");
    }),
    target("URLs of blobs", 5_000, blobUrls, parseBlobUrl),
    target("cursors", 5_000, cursors, (token) => {
      const id = decodePageToken(token, scope);
      promise(id === undefined || id.length === 36, "an id that is no UUID");
    }),
    target("digests", 5_000, digests, (text) => {
      promise(/^sha256:[0-9a-f]{64}$/.test(parseDigest(text)), "a digest in another spelling");
    }),
    target(
      "digests of the Remote Execution API",
      2_000,
      fc.record({ hash: fc.oneof(hex, anyText), sizeBytes: fc.bigInt() }),
      parseDigestMessage,
    ),
    target(
      "digests as bytes",
      3_000,
      fc.oneof(
        anyBytes,
        hex.map((text) => Buffer.from(text, "hex")),
      ),
      digestFromBytes,
    ),
    target("tokens", 6_000, bearer, (token) => keyring.verify(token)),
    target("the header Authorization", 3_000, headerTexts, (text) => authenticator.authenticate(text)),
    target(
      "zstd",
      2_000,
      fc.tuple(fc.oneof(mutated(zstdBodies), zstdBodies, plainBlobs), fc.integer({ min: 1, max: 700 })),
      decompress,
    ),
    target("settings", 3_000, fc.tuple(fc.nat(5), settingTexts), (input) => settingOf(...input)),
    target("secret files", 2_000, fc.oneof(secretFiles, mutated(encoded(secretFiles)).map(String)), (text) =>
      parseSecret("ref", text),
    ),
    ...verificationTargets,
    ...chainloopTargets,
    idTokenTarget(),
    target("signing requests", 1_000, signingRequests, async (bytes) => {
      const key = await readSigningRequest(bytes);
      promise(isOriginalKey(key.export({ type: "spki", format: "der" })), "a key that nobody signed for");
    }),
  ];
}
