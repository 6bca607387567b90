import path from "node:path";
import { pathToFileURL } from "node:url";

const preload = pathToFileURL(path.join(import.meta.dirname, "shifted-clock-preload.ts")).href;

/** Settings by which a process of Node lives so many milliseconds ahead; behind, if negative. */
export function shiftedClock(shiftMs: number): Record<string, string> {
  return { NODE_OPTIONS: `--import=${preload}`, CLOCK_SHIFT_MS: String(shiftMs) };
}
