import type { Native } from "./native.ts";

/** What the routes share. */
export interface ControlPlaneContext {
  native: Native;
  /** Of Attestry, as `chainloop version` shows it. */
  version: string;
}
