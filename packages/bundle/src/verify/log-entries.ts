import type { SignedEntity } from "@sigstore/verify";
import type { JsonObject } from "../describe.ts";
import {
  asObject,
  bytesField,
  integerField,
  listField,
  materialError,
  optionalField,
  readBytes,
  textField,
} from "./material.ts";

export type LogEntry = SignedEntity["tlogEntries"][number];

/** Of each kind in one bundle; each takes milliseconds to verify, and bundles in use have one or two. */
const MOST = 16;

/**
 * The transparency log entries of a bundle (sigstore_rekor.proto). As the format demands, one of v0.1 carries the log's
 * promise, later ones a proof with a checkpoint; the proof of v0.1 counts only with one.
 *
 * @throws BundleError VERIFICATION_MATERIAL_INVALID
 */
export function readLogEntries(material: JsonObject, mediaType: string): LogEntry[] {
  return atMost(listField(material, "tlogEntries", ""), ".tlogEntries").map((value, index) => {
    const what = `.tlogEntries[${index}]`;
    return readEntry(asObject(value, what), what, /0\.1\b/.test(mediaType));
  });
}

/** The RFC 3161 timestamps of a bundle, each a TimeStampResp in DER. Throws as readLogEntries does. */
export function readTimestamps(material: JsonObject): Buffer<ArrayBuffer>[] {
  const data = optionalField(material, "timestampVerificationData", "");
  if (data === undefined) {
    return [];
  }
  const what = ".timestampVerificationData";
  return atMost(listField(asObject(data, what), "rfc3161Timestamps", what), `${what}.rfc3161Timestamps`).map(
    (value, index) => {
      const path = `${what}.rfc3161Timestamps[${index}]`;
      return bytesField(asObject(value, path), "signedTimestamp", path);
    },
  );
}

function readEntry(entry: JsonObject, what: string, isV01: boolean): LogEntry {
  const logId = asObject(optionalField(entry, "logId", what), `${what}.logId`);
  const kindVersion = asObject(optionalField(entry, "kindVersion", what), `${what}.kindVersion`);
  const inclusionPromise = readPromise(entry, what);
  const inclusionProof = readProof(entry, what);
  if (isV01 && inclusionPromise === undefined) {
    throw materialError(what, "an inclusionPromise, as bundles of v0.1 have", "none");
  }
  if (!isV01 && inclusionProof?.checkpoint === undefined) {
    throw materialError(what, "an inclusionProof with a checkpoint", "none");
  }
  return {
    logIndex: integerField(entry, "logIndex", what),
    logId: { keyId: bytesField(logId, "keyId", `${what}.logId`) },
    kindVersion: {
      kind: textField(kindVersion, "kind", `${what}.kindVersion`),
      version: textField(kindVersion, "version", `${what}.kindVersion`),
    },
    integratedTime: integerField(entry, "integratedTime", what),
    inclusionPromise,
    inclusionProof: inclusionProof?.checkpoint === undefined ? undefined : inclusionProof,
    canonicalizedBody: bytesField(entry, "canonicalizedBody", what),
  };
}

function readPromise(entry: JsonObject, what: string): LogEntry["inclusionPromise"] {
  const promise = optionalField(entry, "inclusionPromise", what);
  if (promise === undefined) {
    return undefined;
  }
  const path = `${what}.inclusionPromise`;
  return { signedEntryTimestamp: bytesField(asObject(promise, path), "signedEntryTimestamp", path) };
}

function readProof(entry: JsonObject, what: string): LogEntry["inclusionProof"] {
  const value = optionalField(entry, "inclusionProof", what);
  if (value === undefined) {
    return undefined;
  }
  const path = `${what}.inclusionProof`;
  const proof = asObject(value, path);
  const checkpoint = optionalField(proof, "checkpoint", path);
  return {
    logIndex: integerField(proof, "logIndex", path),
    rootHash: bytesField(proof, "rootHash", path),
    treeSize: integerField(proof, "treeSize", path),
    hashes: listField(proof, "hashes", path).map((hash, index) => readBytes(hash, `${path}.hashes[${index}]`)),
    checkpoint:
      checkpoint === undefined
        ? undefined
        : { envelope: textField(asObject(checkpoint, `${path}.checkpoint`), "envelope", `${path}.checkpoint`) },
  };
}

function atMost(list: readonly unknown[], what: string): readonly unknown[] {
  if (list.length > MOST) {
    throw materialError(what, `at most ${MOST}`, String(list.length));
  }
  return list;
}
