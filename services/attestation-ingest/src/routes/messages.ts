import { type Attestation as AttestationMessage, AttestationSchema, Mode, UploadState } from "@attestry/api/ingest";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Attestation, Mode as StoredMode, UploadState as StoredUploadState } from "../store/attestation.ts";
import { verificationMessage } from "./verification-message.ts";

const modes: Record<StoredMode, Mode> = { database: Mode.DATABASE, cas: Mode.CAS, spool: Mode.SPOOL };

const uploadStates: Record<StoredUploadState, UploadState> = {
  pending: UploadState.PENDING,
  failing: UploadState.FAILING,
  given_up: UploadState.GIVEN_UP,
  confirmed: UploadState.CONFIRMED,
};

export function modeOf(mode: StoredMode): Mode {
  return modes[mode];
}

/** Null: there is nothing to upload. */
export function uploadStateOf(state: StoredUploadState | null): UploadState {
  return state === null ? UploadState.NONE : uploadStates[state];
}

/** An attestation as the API shows it. */
export function attestationMessage(
  attestation: Omit<Attestation, "organizationId" | "planGivenAt" | "policySummary" | "visible">,
): AttestationMessage {
  return create(AttestationSchema, {
    digest: attestation.digest,
    sizeBytes: BigInt(attestation.sizeBytes),
    runId: attestation.runId,
    workflowId: attestation.workflowId,
    project: attestation.project,
    workflow: attestation.workflow,
    predicateType: attestation.predicateType,
    subjects: attestation.subjects,
    mediaType: attestation.mediaType,
    receivedAt: timestampFromDate(attestation.receivedAt),
    verification: verificationMessage(attestation),
    mode: modeOf(attestation.mode),
    tokenId: attestation.tokenId ?? "",
    uploads: attestation.uploads.map(({ backendId, state }) => ({ backendId, state: uploadStateOf(state) })),
  });
}
