import type { AttestationServiceStoreRequest, AttestationServiceStoreResponse } from "@attestry/api/ingest";
import { AttestationServiceStoreResponseSchema } from "@attestry/api/ingest";
import { apiPrincipal, DomainError, parseUuid, timeOfId, uuidv7 } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import type { StoredAttestation } from "../store/attestation.ts";
import { checkDependencies } from "../store/dependencies.ts";
import { keep } from "../store/keep.ts";
import { newAttestation } from "../store/new-attestation.ts";
import { findStoredOrPlan } from "../store/plan.ts";
import { refuseExpired } from "../store/refuse-expired.ts";
import { settle } from "../store/settle.ts";
import { summaryOf } from "../verification/verifier.ts";
import { modeOf, uploadStateOf } from "./messages.ts";

const largestBundleBytes = 32 * 1024 * 1024;
/** Of the message: more than the bundle may have, so that one that is too large is told so. */
export const storeReadMaxBytes = 48 * 1024 * 1024;

/** AttestationService.Store: keeps a bundle as the attestation of a run. OK means durable and complete. */
export async function store(
  context: Context,
  request: AttestationServiceStoreRequest,
  call: HandlerContext,
): Promise<AttestationServiceStoreResponse> {
  const { organizationId, tokenId } = apiPrincipal(call);
  const runId = parseUuid(request.runId, "RUN_ID_INVALID", "run_id");
  const bundle = boundedBundle(request.bundle);
  // Its time is when the attestation was received, by which certificates are judged.
  const id = uuidv7();
  const read = await context.verifier.read(bundle, call.signal);

  const wanted = { organizationId, runId, digest: read.digest, sizeBytes: bundle.length };
  const found = await findStoredOrPlan(context, wanted, call.signal);
  if ("stored" in found) {
    refuseExpired(found.stored, context.config.retentionGraceMs);
    if (!found.stored.visible) await settle(context, found.stored);
    context.telemetry.stored(found.stored.mode, "again");
    return answer(found.stored);
  }

  const received = { ...read, organizationId, bytes: bundle, receivedAt: timeOfId(id) };
  const verification = await context.verifier.verify(received, found.plan.verification, call.signal);
  const summary = summaryOf(read);
  await checkDependencies(context, organizationId, summary.dependencies);
  const attestation = newAttestation(id, { ...wanted, tokenId }, found.plan, summary, verification);
  const kept = await keep(context, attestation, bundle, found.plan, call);
  refuseExpired(kept, context.config.retentionGraceMs);
  // From here on nothing is lost: whatever fails, a retry or the reconciler completes the run.
  if (!kept.visible) await settle(context, kept);
  context.telemetry.stored(kept.mode, "new");
  return answer(kept);
}

/** The bytes exactly as they came, without a copy. */
function boundedBundle(bytes: Uint8Array): Buffer {
  if (bytes.length <= largestBundleBytes) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  throw new DomainError(
    "BUNDLE_TOO_LARGE",
    `a bundle has at most ${largestBundleBytes} bytes (32 MiB); came ${bytes.length}`,
    { metadata: { expected: `at most ${largestBundleBytes} bytes`, actual: `${bytes.length} bytes` } },
  );
}

function answer(stored: StoredAttestation): AttestationServiceStoreResponse {
  return create(AttestationServiceStoreResponseSchema, {
    digest: stored.digest,
    runId: stored.runId,
    mode: modeOf(stored.mode),
    upload: uploadStateOf(stored.upload),
  });
}
