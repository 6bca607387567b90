import { Counter, Histogram, type Registry } from "prom-client";
import type { Mode } from "./store/attestation.ts";
import type { VerificationMode } from "./verification/verification.ts";

/** Where bytes were looked for. */
export type Source = "process" | "redis" | "database" | "cas";

/** One function per event; none throws. */
export interface Telemetry {
  /** A Store was answered OK: with a new row, or again. */
  stored(mode: Mode, how: "new" | "again"): void;
  /** The signature of a bundle was verified, was not checked for this reason, or was refused. */
  verified(mode: VerificationMode, outcome: "verified" | "off" | "no_key" | "refused"): void;
  /** A row was removed because its run ended otherwise. */
  rowRemoved(reason: string): void;
  /** A row whose Store had not finished was looked at, or an upload that was missing was written. */
  reconciled(outcome: "completed" | "removed" | "left" | "requeued"): void;
  /** Bytes came from there. */
  bundleRead(source: Source): void;
  /** Bytes there were not those of the digest. */
  bundleCorrupt(source: Source): void;
  /** Redis was skipped: it is away, or a command failed. */
  cacheSkipped(operation: "get" | "set"): void;
  /** An attempt ended, after that many milliseconds. */
  uploadEnded(outcome: "confirmed" | "failing" | "given_up", ms: number): void;
  /** Uploads that another worker had held until its lease ended were claimed again. */
  leasesEnded(uploads: number): void;
  /** A backend works again, so that many uploads which waited for it were made due. */
  madeDue(uploads: number): void;
  /** gc looked at a blob that may be unused. */
  unusedBlob(outcome: "deleted" | "kept" | "skipped" | "failed"): void;
  /** Retention hid so many attestations, showed them again, or deleted them. */
  retained(outcome: "expired" | "kept" | "deleted", attestations: number): void;
  /** A round of retention failed in one organization. */
  retentionFailed(): void;
  /** Bytes left that many spooled rows. */
  pruned(rows: number): void;
}

/** Registers the counters of the service. */
export function createTelemetry(registry: Registry): Telemetry {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: `attestry_ingest_${name}_total`, help, labelNames, registers });

  const stores = counter("stores", "Stores answered OK", ["mode", "how"]);
  const verifications = counter("verifications", "Bundles whose signature was verified, or why it was not", [
    "mode",
    "outcome",
  ]);
  const removed = counter("rows_removed", "Rows removed because their run ended otherwise", ["reason"]);
  const reconciles = counter("reconciled", "Rows whose Store had not finished, and uploads that were missing", [
    "outcome",
  ]);
  const reads = counter("bundle_reads", "Bundles read, by where the bytes came from", ["source"]);
  const corrupt = counter("bundles_corrupt", "Bytes that were not those of their digest", ["source"]);
  const skipped = counter("cache_skipped", "Times that Redis was skipped", ["operation"]);
  const pruned = counter("pruned", "Spooled rows whose bytes have left the database", []);
  const leases = counter("upload_leases_ended", "Uploads claimed again because their worker was not heard of", []);
  const due = counter("uploads_made_due", "Uploads tried at once because their backend works again", []);
  const retention = counter("retention", "Attestations that retention hid, showed again, or deleted", ["outcome"]);
  const retentionFailures = counter("retention_failures", "Organizations in which a round of retention failed", []);
  const unused = counter("unused_blobs", "Blobs that gc looked at", ["outcome"]);
  const uploads = new Histogram({
    name: "attestry_ingest_upload_seconds",
    help: "Attempts to upload a bundle",
    labelNames: ["outcome"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
    registers,
  });

  return {
    stored: (mode, how) => stores.inc({ mode, how }),
    verified: (mode, outcome) => verifications.inc({ mode, outcome }),
    rowRemoved: (reason) => removed.inc({ reason }),
    reconciled: (outcome) => reconciles.inc({ outcome }),
    bundleRead: (source) => reads.inc({ source }),
    bundleCorrupt: (source) => corrupt.inc({ source }),
    cacheSkipped: (operation) => skipped.inc({ operation }),
    uploadEnded: (outcome, ms) => uploads.observe({ outcome }, ms / 1000),
    leasesEnded: (uploads) => leases.inc(uploads),
    madeDue: (uploads) => due.inc(uploads),
    unusedBlob: (outcome) => unused.inc({ outcome }),
    retained: (outcome, attestations) => retention.inc({ outcome }, attestations),
    retentionFailed: () => retentionFailures.inc(),
    pruned: (rows) => pruned.inc(rows),
  };
}
