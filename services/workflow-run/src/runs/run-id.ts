import { parseUuid } from "@attestry/service-kit";

/** The id in its own spelling. Throws RUN_ID_INVALID. */
export function parseRunId(text: string): string {
  return parseUuid(text, "RUN_ID_INVALID", "run_id");
}
