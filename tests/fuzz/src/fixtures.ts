import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";

const folder = path.resolve(import.meta.dirname, "../../../packages/bundle/tests/fixtures");
const largeBytes = 20_000;

const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name)));

/** Real bundles of several makers, and those of field cases. Small ones more often, since they take less time. */
export const fixtures: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 19, arbitrary: fc.constantFrom(...files.filter(({ length }) => length < largeBytes)) },
  { weight: 1, arbitrary: fc.constantFrom(...files.filter(({ length }) => length >= largeBytes)) },
);

/** A file of theirs, by its name. */
export function fixture(name: string): Buffer {
  return readFileSync(path.join(folder, name));
}

/** One that is stored without complaint. */
export const goodBundle = fixture("C16-v01-no-checkpoint.json");
