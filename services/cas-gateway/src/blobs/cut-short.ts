import type { DomainError } from "@attestry/service-kit";
import { backendUnavailable } from "../backends/backend.ts";

/** A backend broke off in the middle of a blob. That says nothing of what it holds: it is not corrupt. */
export function cutShort(expected: number, came: number): DomainError {
  return backendUnavailable(`${came} bytes came of a blob of ${expected}`, undefined);
}
