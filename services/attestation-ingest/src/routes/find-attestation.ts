import { parseDigest } from "@attestry/bundle";
import { DomainError, parseUuid } from "@attestry/service-kit";
import type { Context } from "../context.ts";
import type { Attestation } from "../store/attestation.ts";
import { isRefusal, settle } from "../store/settle.ts";

/** The field `by` of Get and Download. */
type By = { case: "runId" | "digest"; value: string } | { case: undefined; value?: undefined };

/**
 * The attestation that the request names, of the caller's organization. A row without the visible mark is one whose
 * Store did not finish, or whose mark was lost: the run decides.
 * Throws ATTESTATION_NOT_FOUND, RUN_ID_INVALID, DIGEST_INVALID, REQUEST_INVALID, PEER_UNAVAILABLE.
 */
export async function findAttestation(context: Context, organizationId: string, by: By): Promise<Attestation> {
  const attestation = await look(context, organizationId, by);
  if (attestation === undefined) throw notFound(by);
  if (attestation.visible) return attestation;
  try {
    await settle(context, attestation);
  } catch (error) {
    throw isRefusal(error) ? notFound(by, error) : error;
  }
  return attestation;
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

function notFound(by: By, cause?: unknown): DomainError {
  const what = by.case === "runId" ? `the run ${by.value}` : `the digest ${by.value}`;
  return new DomainError("ATTESTATION_NOT_FOUND", `this organization has no attestation of ${what}`, { cause });
}
