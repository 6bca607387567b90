/** The text cut to what the native API takes, in whole characters: the client would only give up where it is refused. PostgreSQL keeps no zero bytes. */
export function fitting(text: string, mostCharacters: number): string {
  const kept = text.replaceAll("\0", "");
  // A character has one or two units, so most texts need not be taken apart.
  if (kept.length <= mostCharacters) return kept;
  return Array.from(kept.slice(0, 2 * mostCharacters))
    .slice(0, mostCharacters)
    .join("");
}
