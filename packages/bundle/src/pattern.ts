/**
 * Whether the whole text is as the pattern says: `*` is any characters, also none; each other character is itself. Each
 * piece between stars is looked for once from left to right, so no pattern takes longer than pattern times text.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  const [first = "", ...pieces] = pattern.split("*");
  const last = pieces.pop();
  if (last === undefined) {
    return text === pattern;
  }
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) {
    return false;
  }
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of pieces) {
    // The first place that will do leaves the most for what follows.
    const found = text.indexOf(piece, at);
    if (found === -1) {
      return false;
    }
    at = found + piece.length;
  }
  return at <= end;
}
