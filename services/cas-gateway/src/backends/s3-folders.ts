/** So many keys make listing a folder cheaper than to ask for each. */
const crowd = 64;

export interface Folder {
  /** With a slash at its end. */
  folder: string;
  keys: string[];
}

/** Groups keys by their first two segments, `blobs/ab/`, and tells the crowded groups from the keys of all others. */
export function groupByFolder(keys: readonly string[]): { crowded: Folder[]; alone: string[] } {
  const groups = Map.groupBy(keys, (key) => `${key.split("/", 2).join("/")}/`);
  const crowded: Folder[] = [];
  const alone: string[] = [];
  for (const [folder, members] of groups) {
    if (members.length >= crowd) crowded.push({ folder, keys: members });
    else alone.push(...members);
  }
  return { crowded, alone };
}
