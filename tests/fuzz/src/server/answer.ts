import { reasons } from "@attestry/service-kit";

/** How a server answered. */
export interface Answer {
  /** Undefined: OK, or nothing that needs a reason. */
  reason: string | undefined;
  /** What must not be, if anything is. */
  fault: string | undefined;
}

/** How long an answer may take, in milliseconds; of the server's own time, where a machine under load makes all slow. */
const answerMs = 1_000;
/** How long at most whatever the load, in milliseconds. */
const longestMs = 10_000;
/** What is slow by itself is slow each time. */
const attempts = 4;

/**
 * Throws unless the call is answered in time, with OK or a reason of ours. Returns the reason. `busyMs` gives the processor
 * time that the server has had; undefined where the system does not tell.
 */
export async function expectAnswer(
  call: () => Promise<Answer>,
  busyMs: () => Promise<number | undefined>,
): Promise<string | undefined> {
  let told = "";
  for (let attempt = 0; attempt < attempts; attempt++) {
    const [began, busyBefore] = [performance.now(), await busyMs()];
    const { reason, fault } = await call();
    const [ms, busyAfter] = [performance.now() - began, await busyMs()];
    if (fault !== undefined) throw new Error(fault);
    const busy = busyBefore === undefined || busyAfter === undefined ? ms : busyAfter - busyBefore;
    if (ms <= answerMs || (busy <= answerMs && ms <= longestMs)) return reason;
    told = `answered only after ${Math.round(ms)} ms, ${Math.round(busy)} of them its own`;
  }
  throw new Error(`${told}, and no sooner in ${attempts} attempts`);
}

/** Not of ours: the one by which chainloop's command line reads a state again. */
const chainloopConflict = "ATTESTATION_STATE_ERROR_CONFLICT";

/** Why a refusal with this reason must not be; undefined: it may. */
export function faultOf(reason: string | undefined, whole: string): string | undefined {
  if (reason === undefined) return `refused without a reason: ${whole}`;
  if (reason === chainloopConflict) return undefined;
  if (!Object.hasOwn(reasons, reason) || reason === "INTERNAL" || reason === "UNKNOWN") return `${reason}: ${whole}`;
  return undefined;
}
