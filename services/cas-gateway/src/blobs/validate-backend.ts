import { createHash, randomBytes, randomUUID } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import type { Backend } from "../backends/backend.ts";
import type { Keeping } from "../retention/keeping.ts";
import { childController, untilAborted } from "./abortable.ts";
import { probesFolder } from "./key.ts";
import { once } from "./once.ts";

type Step = "secret" | "write" | "read" | "delete" | "hold";

const probeBytes = 64;
const stepTimeoutMs = 15_000;

/**
 * Tries what a backend is for: writes, reads back and deletes a probe, in a key space of its own, and has the backend find
 * out what it can do for the organization's retention. Returns undefined if all worked, else the step and its fault, after
 * 15 s at the latest, even if the store hangs in the system and hears no signal. Faults that are no backend's are thrown.
 */
export async function validateBackend(
  open: () => Promise<Backend>,
  signal: AbortSignal,
  keeping?: Keeping,
): Promise<string | undefined> {
  const probe = randomBytes(probeBytes);
  const blob = { hex: createHash("sha256").update(probe).digest("hex"), sizeBytes: probe.byteLength };
  const key = `${probesFolder}${randomUUID()}`;
  let step: Step = "secret";
  const { controller, release } = childController(signal, { ms: stepTimeoutMs, reason: () => noAnswer(step) });
  const bounded = <T>(act: () => Promise<T>) => untilAborted(act, controller.signal);
  try {
    const backend = await bounded(open);
    step = "write";
    await bounded(() => backend.write(key, blob, once(probe), { signal: controller.signal }));
    step = "read";
    const came = await bounded(() => readAll(backend, key, controller.signal));
    if (!came.equals(probe))
      return `read: what came back is not what was written (${came.byteLength} of ${probe.byteLength} bytes)`;
    step = "delete";
    await bounded(() => backend.delete(key, controller.signal));
    if ((await bounded(() => backend.describe(key, controller.signal))) !== undefined)
      return "delete: the probe is still there";
    step = "hold";
    // The probe is gone: there is nothing that would really be held.
    if (keeping !== undefined) await bounded(() => backend.hold(key, keeping.atLeastMs, controller.signal));
    if (keeping?.renewAfterMs !== undefined) await bounded(() => backend.expiry(controller.signal));
    return undefined;
  } catch (error) {
    if (error instanceof DomainError && !signal.aborted) return `${step}: ${error.message}`;
    throw error;
  } finally {
    release();
  }
}

async function readAll(backend: Backend, key: string, signal: AbortSignal): Promise<Buffer> {
  const opened = await backend.read(key, { offset: 0, length: undefined }, signal);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of opened?.chunks ?? []) chunks.push(chunk);
  } finally {
    await opened?.close();
  }
  return Buffer.concat(chunks);
}

function noAnswer(step: Step): DomainError {
  return new DomainError(
    "BACKEND_UNAVAILABLE",
    `the backend did not answer within ${stepTimeoutMs} ms while it was to ${step}`,
  );
}
