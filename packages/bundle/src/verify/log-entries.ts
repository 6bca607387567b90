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
/** A tree of 2^63 entries has proofs of 63 hashes. */
const MOST_HASHES = 64;
/** In characters and bytes. Those in use have up to 10 KiB; numbers in what is longer would take long to read. */
const LONGEST_CHECKPOINT = 64 * 1024;
const LONGEST_TIMESTAMP = 64 * 1024;

/**
 * The transparency log entries of a bundle (sigstore_rekor.proto). As the format demands, one of v0.1 carries the log's
 * promise, later ones a proof with a checkpoint; the proof of v0.1 counts only with one.
 *
 * @throws BundleError VERIFICATION_MATERIAL_INVALID
 */
export function readLogEntries(material: JsonObject, mediaType: string): LogEntry[] {
  return atMost(MOST, listField(material, "tlogEntries", ""), ".tlogEntries").map((value, index) => {
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
  return atMost(MOST, listField(asObject(data, what), "rfc3161Timestamps", what), `${what}.rfc3161Timestamps`).map(
    (value, index) => {
      const path = `${what}.rfc3161Timestamps[${index}]`;
      const der = bytesField(asObject(value, path), "signedTimestamp", path);
      if (der.length > LONGEST_TIMESTAMP) {
        throw materialError(path, `at most ${LONGEST_TIMESTAMP} bytes`, String(der.length));
      }
      return der;
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
    hashes: atMost(MOST_HASHES, listField(proof, "hashes", path), `${path}.hashes`).map((hash, index) =>
      readBytes(hash, `${path}.hashes[${index}]`),
    ),
    checkpoint: checkpoint === undefined ? undefined : readCheckpoint(checkpoint, `${path}.checkpoint`),
  };
}

function readCheckpoint(value: unknown, what: string): { envelope: string } {
  const envelope = textField(asObject(value, what), "envelope", what);
  if (envelope.length > LONGEST_CHECKPOINT) {
    throw materialError(what, `at most ${LONGEST_CHECKPOINT} characters`, String(envelope.length));
  }
  return { envelope };
}

function atMost(most: number, list: readonly unknown[], what: string): readonly unknown[] {
  if (list.length > most) {
    throw materialError(what, `at most ${most}`, String(list.length));
  }
  return list;
}
