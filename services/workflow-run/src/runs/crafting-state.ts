import type { Digest } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";

/** Of a state, in bytes; with what stands around it, it has to fit a message of 4 MiB, which is what clients take by default. */
export const largestStateBytes = 3_900 * 1024;

export function stateNotFound(runId: string): DomainError {
  return new DomainError("CRAFTING_STATE_NOT_FOUND", `run ${runId} has no crafting state`, {
    metadata: { run: runId },
  });
}

export function stateTooLarge(bytes: number): DomainError {
  return new DomainError(
    "CRAFTING_STATE_TOO_LARGE",
    `a crafting state has at most ${largestStateBytes} bytes; came ${bytes}: add fewer or smaller materials inline, or keep it locally`,
    { metadata: { expected: `at most ${largestStateBytes} bytes`, actual: `${bytes} bytes` } },
  );
}

/** @param present Digest of what is there; undefined: nothing. */
export function stateChanged(runId: string, base: Digest, present: Digest | undefined): DomainError {
  const actual = present ?? "no state";
  return new DomainError(
    "CRAFTING_STATE_CHANGED",
    `the crafting state of run ${runId} was changed since it was read: it is ${actual}, the change is of ${base}; read it again`,
    { metadata: { run: runId, expected: base, actual } },
  );
}
