/**
 * Whether each name of a JSON text's objects is there once: as many are written as the value has. Another way than the
 * reader's, which compares them.
 */
export function hasNamesOnce(text: string): boolean {
  const json = text.replace(/^\ufeff/, "");
  let written = 0;
  for (const [, colon] of json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g)) {
    if (colon !== undefined) written++;
  }
  // The reviver is called once for the value as a whole, too, with a holder that is an object.
  let kept = -1;
  JSON.parse(json, function count(this: unknown, _name, value: unknown) {
    if (!Array.isArray(this)) kept++;
    return value;
  });
  return written === kept;
}
