import { type ParsedBundle, parseBundle } from "@attestry/bundle";
import { type JsonObject, objectOf } from "../json.ts";

/** A bundle with the parts of its statement that this package shows. Of a predicate of another kind there is little to show. */
export interface ShownBundle {
  parsed: ParsedBundle;
  subjects: unknown[];
  predicate: JsonObject;
}

/** Passes over a byte order mark, as parseBundle does. */
const decoder = new TextDecoder();

/** Reads a bundle that the native API has accepted. */
export function readBundle(bundle: Uint8Array): ShownBundle {
  const parsed = parseBundle(bundle);
  const statement = objectOf(JSON.parse(decoder.decode(parsed.envelope.payload)));
  return {
    parsed,
    subjects: Array.isArray(statement.subject) ? statement.subject : [],
    predicate: objectOf(statement.predicate),
  };
}
