import { reasons } from "@attestry/service-kit";

/** How a server answered. */
export interface Answer {
  /** Undefined: OK, or nothing that needs a reason. */
  reason: string | undefined;
  /** What must not be, if anything is. */
  fault: string | undefined;
}

/** How long an answer may take, in milliseconds. */
const answerMs = 1_000;
/** A machine under load is slow at times; what is slow by itself is slow each time. */
const attempts = 4;

/** Throws unless the call is answered in time, with OK or a reason of ours. Returns the reason. */
export async function expectAnswer(call: () => Promise<Answer>): Promise<string | undefined> {
  let fastest = Number.POSITIVE_INFINITY;
  let reason: string | undefined;
  for (let attempt = 0; attempt < attempts && fastest > answerMs; attempt++) {
    const began = performance.now();
    const answer = await call();
    fastest = Math.min(fastest, performance.now() - began);
    if (answer.fault !== undefined) throw new Error(answer.fault);
    ({ reason } = answer);
  }
  if (fastest > answerMs) throw new Error(`answered only after ${Math.round(fastest)} ms, each of ${attempts} times`);
  return reason;
}

/** Why a refusal with this reason must not be; undefined: it may. */
export function faultOf(reason: string | undefined, whole: string): string | undefined {
  if (reason === undefined) return `refused without a reason: ${whole}`;
  if (!Object.hasOwn(reasons, reason) || reason === "INTERNAL" || reason === "UNKNOWN") return `${reason}: ${whole}`;
  return undefined;
}
