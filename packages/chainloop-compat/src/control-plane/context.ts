import type { EvaluationsInCas } from "./evaluations-in-cas.ts";
import type { Native } from "./native.ts";
import type { Reader } from "./reading/reader.ts";

/** What the routes share. */
export interface ControlPlaneContext {
  native: Native;
  evaluations: EvaluationsInCas;
  reader: Reader;
  /** Of Attestry, as `chainloop version` shows it. */
  version: string;
}
