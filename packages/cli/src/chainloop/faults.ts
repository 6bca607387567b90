import { BundleError } from "@attestry/bundle";
import { BlobError } from "@attestry/cas-client";
import { Code, ConnectError } from "@connectrpc/connect";
import { CommandError, reasonOf, retryDelayOf } from "../errors.ts";

const ofOneObject = new Set(["SOURCE_MISSING", "SOURCE_CORRUPT", "BUNDLE_TOO_LARGE"]);
/** Of the attestation alone, though its code is one of the whole organization's as well. */
const ofOneRun = new Set(["ATTESTATION_EXPIRED", "RUN_HAS_OTHER_ATTESTATION", "IDEMPOTENCY_KEY_REUSED"]);

/** Whether a fault is of one attestation or material, so that others may fare better. */
export function isOfOne(error: unknown): boolean {
  if (error instanceof BundleError || error instanceof BlobError) return true;
  if (error instanceof CommandError) return ofOneObject.has(error.reason);
  // Without a reason it is no answer of a service: a stream that breaks off may read as an invalid argument.
  if (!(error instanceof ConnectError) || reasonOf(error) === undefined) return false;
  switch (error.code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
    case Code.DataLoss:
      return true;
    case Code.ResourceExhausted:
      return retryDelayOf(error) === undefined;
    default:
      return ofOneRun.has(reasonOf(error) ?? "");
  }
}

/** Whether what chainloop kept is damaged or gone, as against refused by Attestry. */
export function isDamage(error: unknown): boolean {
  return ["SOURCE_MISSING", "SOURCE_CORRUPT"].includes(reasonOf(error) ?? "");
}

/** Whether the organization trusts signers as of now: then no bundle of the past fares better. */
export function isTrustRefusal(error: unknown): boolean {
  return ["SIGNER_UNTRUSTED", "TRANSPARENCY_LOG_THRESHOLD", "TIMESTAMP_THRESHOLD"].includes(reasonOf(error) ?? "");
}
