import type { CasBackend, RetentionBounds } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import { isDigestHex } from "../blobs/blob-ref.ts";
import { blobKey } from "../blobs/key.ts";
import type { MaterialAudit, MaterialEvent } from "./audit.ts";
import type { Expiry } from "./expiry.ts";
import { lifeOf } from "./keeping.ts";
import type { RetentionTelemetry, Step } from "./telemetry.ts";

export interface ExpireContext {
  audit: Pick<MaterialAudit, "record">;
  telemetry: RetentionTelemetry;
  /** How long a material is out of sight before it is removed, in milliseconds. */
  graceMs: number;
}

export interface ExpiryTarget {
  organizationId: string;
  named: CasBackend;
  backend: Backend;
  expiry: Expiry;
  /** What the organization asks for now: asked anew for each batch, since what is removed does not come back. */
  bounds: (signal: AbortSignal) => Promise<RetentionBounds | undefined>;
  /** Called after each batch. */
  progress: (signal: AbortSignal) => Promise<void>;
}

interface Material {
  key: string;
  storedAt: Date;
}

interface Act {
  event: Omit<MaterialEvent, "hex" | "backend" | "storedAt">;
  step: Step;
  /** False if nothing came of it. */
  act: () => Promise<boolean>;
}

const batchMaterials = 100;
const folder = "blobs/";

/**
 * One sweep of one backend: brings back what is out of sight and no longer due, removes what has been so for the grace,
 * and moves out of sight what is past at_most. Each is recorded before it is done. Throws what the backend and
 * workflow-run throw; the next sweep goes on.
 */
export async function expireMaterials(
  context: ExpireContext,
  target: ExpiryTarget,
  signal: AbortSignal,
): Promise<void> {
  const { backend, expiry } = target;
  for await (const batch of batchesOf(expiry.hidden(signal))) {
    const oldest = await oldestKept(target, signal);
    await perform(context, target, batch, signal, (hidden) => {
      if (hidden.storedAt >= oldest) {
        const restore = () => expiry.restore(hidden, signal).then(() => true);
        return { event: { action: "material.keep", reason: "at_most was raised" }, step: "restored", act: restore };
      }
      if (hidden.hiddenAt.getTime() > Date.now() - context.graceMs) return undefined;
      const remove = () => expiry.remove(hidden, signal);
      return { event: { action: "material.delete" }, step: "removed", act: remove };
    });
  }
  for await (const batch of batchesOf(dueIn(backend, await oldestKept(target, signal), signal))) {
    const oldest = await oldestKept(target, signal);
    await perform(context, target, batch, signal, ({ key, storedAt }) => {
      if (storedAt >= oldest) return undefined;
      const hide = () => expiry.hide(key, oldest, signal);
      return { event: { action: "material.expire" }, step: "hidden", act: hide };
    });
  }
}

/** What was stored before then is past its time; nothing is where there is no bound. */
async function oldestKept(target: ExpiryTarget, signal: AbortSignal): Promise<Date> {
  const bounds = await target.bounds(signal);
  const lifeMs = bounds && lifeOf(bounds);
  return lifeMs === undefined ? new Date(0) : new Date(Date.now() - lifeMs);
}

async function perform<T extends Material>(
  { audit, telemetry }: ExpireContext,
  { organizationId, named, progress }: ExpiryTarget,
  batch: readonly T[],
  signal: AbortSignal,
  decide: (material: T) => Act | undefined,
): Promise<void> {
  const acts = batch.flatMap((material) => {
    const decided = decide(material);
    const about = { hex: hexOf(material.key), backend: named.name, storedAt: material.storedAt };
    return decided === undefined ? [] : [{ ...decided, event: { ...decided.event, ...about } }];
  });
  await audit.record(
    organizationId,
    acts.map(({ event }) => event),
    signal,
  );
  const held: MaterialEvent[] = [];
  for (const { event, step, act } of acts) {
    signal.throwIfAborted();
    if (await act()) telemetry.material(named.provider, step);
    else if (step === "removed") {
      telemetry.material(named.provider, "held");
      held.push({ ...event, action: "material.keep", reason: "the store holds it" });
    }
  }
  await audit.record(organizationId, held, signal);
  await progress(signal);
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
