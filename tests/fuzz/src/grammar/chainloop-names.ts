import fc from "fast-check";
import { formatCasResourceName } from "../../../../packages/chainloop-compat/src/cas/index.ts";
import { base64Of, mutated } from "./bytes.ts";
import { hex } from "./digest.ts";
import { anyText } from "./text.ts";

const gobs = fc
  .record({ fileName: anyText, hex: fc.oneof(hex, anyText), sizeBytes: fc.option(fc.nat(), { nil: undefined }) })
  .map((resource) => Buffer.from(formatCasResourceName(resource), "base64"));

/** Resource names of the chainloop client, whole or with faults. */
export const chainloopNames: fc.Arbitrary<string> = fc.oneof(base64Of(gobs), base64Of(mutated(gobs)), anyText);
