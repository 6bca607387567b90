import { type Digest, digestFromBytes } from "@attestry/bundle";

/** The digest that a column holds, if it holds one. */
export function digestText(bytes: Buffer | null): Digest | null {
  return bytes === null ? null : digestFromBytes(bytes);
}
