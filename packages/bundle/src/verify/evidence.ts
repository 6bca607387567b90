import { RFC3161Timestamp } from "@sigstore/core";
import type { SignedEntity } from "@sigstore/verify";
import { mismatch } from "../error.ts";
import type { ParsedBundle } from "../parse-bundle.ts";
import { type LogEntry, readLogEntries, readTimestamps } from "./log-entries.ts";
import { materialError, materialOf } from "./material.ts";
import type { ParsedTrustPolicy } from "./trust-policy.ts";

type Timestamp = SignedEntity["timestamps"][number];

/** What a bundle has beside its signatures: log entries, and the times to judge certificates at. */
export type Evidence = {
  tlogEntries: LogEntry[];
  /** One or more. */
  timestamps: Timestamp[];
};

/** How far the clock of a log or timestamp authority may be ahead of the receiver's. */
const CLOCKS_APART_MS = 5 * 60 * 1000;

/**
 * The evidence of a bundle as far as the policy trusts any log or timestamp authority: what it has none for says
 * nothing and is left out. Thresholds are met, but nothing is verified yet. Without a signed time, receivedAt counts.
 *
 * @throws BundleError TRANSPARENCY_LOG_THRESHOLD, TIMESTAMP_THRESHOLD, VERIFICATION_MATERIAL_INVALID.
 */
export function readEvidence(bundle: ParsedBundle, policy: ParsedTrustPolicy, receivedAt: Date): Evidence {
  const material = materialOf(bundle);
  const tlogEntries = policy.tlogs.length === 0 ? [] : readLogEntries(material, bundle.mediaType);
  checkLogs(tlogEntries, policy);
  const timestamps = [
    ...tlogEntries.filter(hasSignedTime).map(logTimestamp),
    ...(policy.timestampAuthorities.length === 0 ? [] : readTimestamps(material).map(authorityTimestamp)),
  ];
  if (timestamps.length < policy.timestampThreshold) {
    const expected = `${policy.timestampThreshold} of trusted authorities or logs`;
    throw mismatch("TIMESTAMP_THRESHOLD", "signed times", expected, String(timestamps.length));
  }
  if (timestamps.some((timestamp) => timeOf(timestamp) > receivedAt.getTime() + CLOCKS_APART_MS)) {
    throw mismatch("TIMESTAMP_THRESHOLD", "signed time", `one up to ${receivedAt.toISOString()}`, "a later one");
  }
  return { tlogEntries, timestamps: timestamps.length === 0 ? [receipt(receivedAt)] : timestamps };
}

/** When the first of the logs took the bundle in, as it signed; undefined if none signed a time. Of verified entries. */
export function integratedAt({ tlogEntries }: Evidence): Date | undefined {
  const times = tlogEntries.filter(hasSignedTime).map((entry) => timeOf(logTimestamp(entry)));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

/** The times that certificates are judged at, in ISO 8601. */
export function judgedAt({ timestamps }: Evidence): string[] {
  return timestamps.map((timestamp) => new Date(timeOf(timestamp)).toISOString());
}

function checkLogs(entries: readonly LogEntry[], { tlogs, transparencyLogThreshold }: ParsedTrustPolicy): void {
  const code = "TRANSPARENCY_LOG_THRESHOLD";
  if (entries.length < transparencyLogThreshold) {
    const actual = tlogs.length === 0 ? "none, since the policy trusts no log" : String(entries.length);
    throw mismatch(code, "log entries", `${transparencyLogThreshold} of trusted logs`, actual);
  }
  for (const { logId } of entries) {
    if (!tlogs.some((log) => log.logID.equals(logId.keyId))) {
      const actual = `one of the log ${logId.keyId.subarray(0, 32).toString("hex") || "without an id"}`;
      throw mismatch(code, "log entry", "one of a trusted log", actual);
    }
  }
}

// A log's time is signed only together with its promise; beside a mere proof it is anybody's.
function hasSignedTime({ integratedTime, inclusionPromise }: LogEntry): boolean {
  return inclusionPromise !== undefined && Number(integratedTime) > 0;
}

function logTimestamp(tlogEntry: LogEntry): Timestamp {
  return { $case: "transparency-log", tlogEntry };
}

// In milliseconds since 1970.
function timeOf(timestamp: Timestamp): number {
  return timestamp.$case === "timestamp-authority"
    ? timestamp.timestamp.signingTime.getTime()
    : Number(timestamp.tlogEntry.integratedTime) * 1000;
}

function authorityTimestamp(der: Buffer<ArrayBuffer>, index: number): Timestamp {
  try {
    const timestamp: Timestamp = { $case: "timestamp-authority", timestamp: RFC3161Timestamp.parse(der) };
    timeOf(timestamp);
    return timestamp;
  } catch {
    throw materialError(`: timestamp ${index + 1}`, "an RFC 3161 timestamp in DER", "something else");
  }
}

/**
 * The moment of receipt in the form of a log's timestamp, since the verifier judges certificates at timestamps alone. It
 * stands among no log entries, so it counts for no log.
 */
function receipt(receivedAt: Date): Timestamp {
  return logTimestamp({
    logIndex: "0",
    logId: { keyId: Buffer.alloc(0) },
    kindVersion: { kind: "", version: "" },
    integratedTime: String(receivedAt.getTime() / 1000),
    inclusionPromise: { signedEntryTimestamp: Buffer.alloc(0) },
    inclusionProof: undefined,
    canonicalizedBody: Buffer.alloc(0),
  });
}
