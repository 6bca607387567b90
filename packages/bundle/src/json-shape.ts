import type { NameWatch } from "./json-names.ts";
import type { BundleLimits } from "./limits.ts";

/**
 * Says how a text is too costly for JSON.parse, if it is. 32 MiB of brackets would hold the thread for seconds and
 * take over a gigabyte: 16 million levels 7.8 s, 11 million empty arrays 1.7 GB; millions of distinct names in one object
 * take 4 s (Node 24). The text need not be JSON. The watch, if there is one, is told of the names of its objects.
 */
export function excessOf(text: string, limits: BundleLimits, names?: NameWatch): string | undefined {
  const { jsonDepth, jsonContainers, jsonMembers } = limits;
  let depth = 0;
  let containers = 0;
  let members = 0;
  // Of the string before, which is the name if a colon follows.
  let from = 0;
  let to = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      from = at;
      to = endOfString(text, at);
      at = to;
    } else if (code === 0x7b || code === 0x5b) {
      depth++;
      containers++;
      if (depth > jsonDepth) {
        return `nested deeper than ${jsonDepth} levels`;
      }
      if (containers > jsonContainers) {
        return `more than ${jsonContainers} objects and arrays`;
      }
      if (code === 0x7b) {
        names?.opened(depth);
      }
    } else if (code === 0x7d || code === 0x5d) {
      depth--;
    } else if (code === 0x3a) {
      members++;
      if (members > jsonMembers) {
        return `more than ${jsonMembers} members of objects`;
      }
      names?.named(depth, text, from, to);
    }
  }
  return undefined;
}

// The offset of the quote that ends the string which starts at from, or of the end of the text.
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) {
      slashes++;
    }
    if (slashes % 2 === 0) {
      return at;
    }
  }
  return text.length;
}
