import type { CasBackend } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import { isDigestHex } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import { blobKey } from "../blobs/key.ts";
import { AskedBounds, type BoundsSource, type Limits } from "./asked-bounds.ts";
import type { MaterialAction, MaterialAudit, MaterialEvent } from "./audit.ts";
import type { Expiry, HiddenBlob } from "./expiry.ts";
import type { RetentionTelemetry, Step } from "./telemetry.ts";

export interface ExpireContext {
  audit: Pick<MaterialAudit, "record">;
  telemetry: RetentionTelemetry;
  /** How long a material is out of sight before it is removed, in milliseconds. */
  graceMs: number;
  /** False: nothing is removed, however long it is out of sight; the rest is done. */
  removes: boolean;
}

export interface ExpiryTarget extends BoundsSource {
  organizationId: string;
  named: CasBackend;
  backend: Backend;
  expiry: Expiry;
  /** Called after each batch. */
  progress: (signal: AbortSignal) => Promise<void>;
}

interface Material {
  key: string;
  storedAt: Date;
}

/** What may become of a material, each recorded before it is done. */
interface Kind<T extends Material> {
  action: MaterialAction;
  /** Why, where the action does not say it. */
  reason?: string;
  step: Step;
  /** Whether it is due: looked at before it is recorded, and again before it is done. */
  isDue: (material: T, limits: Limits) => boolean;
  /** False if nothing came of it. */
  act: (material: T, limits: Limits) => Promise<boolean>;
  /** What is recorded where nothing came of it. */
  otherwise: string;
}

const batchMaterials = 100;
const lookupsAtATime = 8;
const folder = "blobs/";
const raised = "at_most was raised";

/**
 * One sweep of one backend: brings back what is out of sight and no longer due, removes what has been so for the grace,
 * and moves out of sight what is past at_most. Throws what the backend and workflow-run throw; the next sweep goes on.
 */
export async function expireMaterials(
  context: ExpireContext,
  target: ExpiryTarget,
  signal: AbortSignal,
): Promise<void> {
  const { backend, expiry } = target;
  const restoring: Kind<HiddenBlob> = {
    ...{ action: "material.keep", reason: raised, step: "restored", otherwise: "" },
    isDue: (hidden, { oldest }) => hidden.storedAt >= oldest,
    act: (hidden) => expiry.restore(hidden, signal).then(() => true),
  };
  const removing: Kind<HiddenBlob> = {
    ...{ action: "material.delete", step: "removed", otherwise: "the store holds it" },
    isDue: ({ storedAt, hiddenAt }, { now, oldest }) =>
      storedAt < oldest && hiddenAt.getTime() <= now.getTime() - context.graceMs,
    act: (hidden) => expiry.remove(hidden, signal),
  };
  const hiding: Kind<Material> = {
    ...{ action: "material.expire", step: "hidden", otherwise: "it could not be moved out of sight, or came anew" },
    isDue: ({ storedAt }, { oldest }) => storedAt < oldest,
    act: ({ key }, { oldest }) => expiry.hide(key, oldest, signal),
  };
  for await (const batch of batchesOf(expiry.hidden(signal))) {
    const asked = new AskedBounds(target);
    await perform(context, target, { kind: restoring, batch, asked }, signal);
    if (context.removes) await perform(context, target, { kind: removing, batch, asked }, signal);
    await target.progress(signal);
  }
  const { oldest } = await new AskedBounds(target).limits(signal);
  for await (const batch of batchesOf(dueIn(backend, oldest, signal))) {
    // What would stay is not worth an event, sweep after sweep.
    const able = await concurrently(batch, lookupsAtATime, ({ key }) => expiry.mayHide(key, oldest, signal));
    await target.progress(signal);
    const movable = batch.filter((_, index) => able[index]);
    await perform(context, target, { kind: hiding, batch: movable, asked: new AskedBounds(target) }, signal);
    await target.progress(signal);
  }
}

async function perform<T extends Material>(
  { audit, telemetry }: ExpireContext,
  target: ExpiryTarget,
  { kind, batch, asked }: { kind: Kind<T>; batch: readonly T[]; asked: AskedBounds },
  signal: AbortSignal,
): Promise<void> {
  const { organizationId, named } = target;
  const before = await asked.limits(signal);
  const due = batch.filter((material) => kind.isDue(material, before));
  const eventOf = ({ key, storedAt }: T, action: MaterialAction, reason: string | undefined): MaterialEvent => ({
    ...{ action, hex: hexOf(key), backend: named.name, storedAt },
    ...(reason !== undefined && { reason }),
  });
  await audit.record(
    organizationId,
    due.map((material) => eventOf(material, kind.action, kind.reason)),
    signal,
  );
  const kept: MaterialEvent[] = [];
  try {
    for (const material of due) {
      signal.throwIfAborted();
      const limits = await asked.limits(signal);
      // The bounds may have been raised since. What is to come back does in any case: the next sweep sees to the rest.
      if (kind.step !== "restored" && !kind.isDue(material, limits)) {
        kept.push(eventOf(material, "material.keep", raised));
      } else if (await kind.act(material, limits)) {
        telemetry.material(named.provider, kind.step);
      } else {
        if (kind.step === "removed") telemetry.material(named.provider, "held");
        kept.push(eventOf(material, "material.keep", kind.otherwise));
      }
    }
  } finally {
    await audit.record(organizationId, kept, signal);
  }
}

/** Materials that were stored before then; what is no blob is passed over. */
async function* dueIn(backend: Backend, before: Date, signal: AbortSignal): AsyncGenerator<Material, void, void> {
  if (before.getTime() === 0) return;
  for await (const { key, storedAt } of backend.list(folder, "", signal)) {
    const hex = hexOf(key);
    if (storedAt < before && isDigestHex(hex) && key === blobKey("blobs", hex)) yield { key, storedAt };
  }
}

async function* batchesOf<T>(items: AsyncIterable<T>): AsyncGenerator<T[], void, void> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < batchMaterials) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function hexOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}
