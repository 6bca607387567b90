import type { EvaluationsInCas } from "./evaluations-in-cas.ts";
import type { Native } from "./native.ts";

/** What the routes share. */
export interface ControlPlaneContext {
  native: Native;
  evaluations: EvaluationsInCas;
  /** Of Attestry, as `chainloop version` shows it. */
  version: string;
}
