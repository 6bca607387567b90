import { mismatch } from "../error.ts";
import type { LogEntry } from "./log-entries.ts";

/**
 * Checks that a proof speaks of the tree whose root the log signed. @sigstore/verify works the root out anew and
 * compares that with the checkpoint; what the proof itself says is left, and other readers go by it. For entries that it
 * found good.
 *
 * @throws BundleError TRANSPARENCY_LOG_THRESHOLD
 */
export function checkCheckpointRoots(entries: readonly LogEntry[]): void {
  for (const { inclusionProof } of entries) {
    if (inclusionProof?.checkpoint === undefined || inclusionProof.rootHash.length === 0) {
      continue;
    }
    // The third line is the root hash (transparency-dev/formats, log/README.md, "Checkpoint body").
    const signed = Buffer.from(inclusionProof.checkpoint.envelope.split("\n", 3)[2] ?? "", "base64");
    if (!signed.equals(inclusionProof.rootHash)) {
      const actual = inclusionProof.rootHash.subarray(0, 32).toString("base64");
      throw mismatch("TRANSPARENCY_LOG_THRESHOLD", "log entry: root hash", signed.toString("base64"), actual);
    }
  }
}
