import path from "node:path";
import { pathToFileURL } from "node:url";

const preload = pathToFileURL(path.join(import.meta.dirname, "event-loop-preload.ts")).href;

/** Settings by which a process of Node tells on that port how long it held up its callers (see `longestTurn`). */
export function watchedEventLoop(port: number): Record<string, string> {
  return { NODE_OPTIONS: `--import=${preload}`, EVENT_LOOP_PORT: String(port) };
}

/** The longest turn of the event loop of the process that is watched there since this was asked last, in milliseconds. */
export async function longestTurn(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}`);
  return Number(await response.text());
}
