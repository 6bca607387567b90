import { uploadBlob } from "@attestry/cas-client";
import { DomainError } from "@attestry/service-kit";
import type { Transport } from "@connectrpc/connect";
import { casFault } from "../cas-fault.ts";
import type { Attestations, Target } from "../db/attestations.ts";
import type { Intents } from "../db/intents.ts";
import type { NewAttestation, StoredAttestation } from "./attestation.ts";
import type { StoragePlan } from "./plan.ts";
import { sameBytes } from "./same-bytes.ts";

export interface KeepContext {
  attestations: Attestations;
  intents: Intents;
  cas: Transport;
  config: { casDeadlineMs: number };
}

/** How long the caller waits, and whether it still does. */
export interface Caller {
  signal: AbortSignal;
  /** What is left of its deadline in milliseconds; undefined if it has none. */
  timeoutMs: () => number | undefined;
}

/**
 * Makes the attestation durable, by the plan's mode: its bytes with its row, or its bytes in the backend and then its
 * row. Another Store of the same bytes for the run may win the race: then its row is the answer.
 * Throws RUN_HAS_OTHER_ATTESTATION, GC_UNDER_WAY, CAS_UNAVAILABLE, STORE_BUSY.
 */
export async function keep(
  context: KeepContext,
  attestation: NewAttestation,
  bundle: Buffer,
  plan: StoragePlan,
  caller: Caller,
): Promise<StoredAttestation> {
  if (plan.mode === "cas") {
    await upload(context, attestation, bundle, plan, caller);
    return insert(context.attestations, attestation, null, "uploaded");
  }
  return insert(context.attestations, attestation, bundle, plan.backend.kind === "inline" ? "inline" : "upload");
}

/** Bytes come to a backend only under an intent, so that none is left there unknown. */
async function upload(
  { intents, cas, config }: KeepContext,
  attestation: NewAttestation,
  bundle: Buffer,
  plan: StoragePlan,
  caller: Caller,
): Promise<void> {
  const state = await intents.touch(attestation);
  if (state === "deleting") {
    throw new DomainError("GC_UNDER_WAY", `gc is removing an unused blob with these bytes from ${plan.backend.name}`, {
      retryAfterMs: 5_000,
    });
  }
  try {
    await uploadBlob(cas, {
      token: plan.casToken,
      digest: attestation.digest,
      bytes: bundle,
      sizeBytes: bundle.length,
      signal: caller.signal,
      timeoutMs: Math.ceil(Math.min(config.casDeadlineMs, caller.timeoutMs() ?? Number.POSITIVE_INFINITY)),
    });
  } catch (error) {
    throw caller.signal.aborted ? error : casFault(error, "the bundle could not be uploaded");
  }
}

// The row of a rival whose run refused it goes away again, so the insert is tried a few times.
const insertTries = 3;

async function insert(
  attestations: Attestations,
  attestation: NewAttestation,
  bundle: Buffer | null,
  target: Target,
): Promise<StoredAttestation> {
  for (let attempt = 0; attempt < insertTries; attempt++) {
    if (await attestations.insert(attestation, bundle, target)) {
      return { ...attestation, visible: false, expiredAt: null, upload: uploadStates[target] };
    }
    const rival = await attestations.stored(attestation);
    if (rival !== undefined) return sameBytes(rival, attestation.digest);
  }
  throw new DomainError("STORE_BUSY", `other calls store for run ${attestation.runId} at this moment`, {
    retryAfterMs: 1_000,
  });
}

const uploadStates = { inline: null, upload: "pending", uploaded: "confirmed" } as const satisfies Record<
  Target,
  unknown
>;
