import { parseDigest } from "@attestry/bundle";
import { DomainError, parseUuid } from "@attestry/service-kit";
import type { Context } from "../context.ts";
import type { Attestation } from "../store/attestation.ts";
import { settledOrRefused } from "../store/settle.ts";

/** More refused rows of one digest than this are left to the reconciler. */
const mostLooks = 10;

/** The field `by` of Get and Download. */
type By = { case: "runId" | "digest"; value: string } | { case: undefined; value?: undefined };

/**
 * The attestation that the request names, of the caller's organization. A row without the visible mark is one whose
 * Store did not finish, or whose mark was lost: the run decides.
 * Throws ATTESTATION_NOT_FOUND, RUN_ID_INVALID, DIGEST_INVALID, REQUEST_INVALID, PEER_UNAVAILABLE.
 */
export async function findAttestation(context: Context, organizationId: string, by: By): Promise<Attestation> {
  for (let looks = 0; looks < mostLooks; looks++) {
    const attestation = await look(context, organizationId, by);
    if (attestation === undefined) break;
    // A refused row has gone: an older one of the same digest may be behind it.
    if (attestation.visible || (await settledOrRefused(context, attestation))) return attestation;
  }
  throw notFound(by);
}

function look({ attestations }: Context, organizationId: string, by: By): Promise<Attestation | undefined> {
  switch (by.case) {
    case "runId":
      return attestations.ofRun({ organizationId, runId: parseUuid(by.value, "RUN_ID_INVALID", "run_id") });
    case "digest":
      return attestations.ofDigest({ organizationId, digest: parseDigest(by.value) });
    case undefined:
      throw new DomainError("REQUEST_INVALID", "run_id or digest must be set; came neither");
  }
}

function notFound(by: By): DomainError {
  const what = by.case === "runId" ? `the run ${by.value}` : `the digest ${by.value}`;
  return new DomainError("ATTESTATION_NOT_FOUND", `this organization has no attestation of ${what}`);
}
