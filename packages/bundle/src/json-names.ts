/** A name that its object has twice. */
export type RepeatedName = {
  name: string;
  /** Where it stands again: of its quote, in UTF-16 units from 0. */
  offset: number;
};

// Most objects have fewer, and to look through so few takes less than a Set does.
const FEW = 8;
const LONG = 256;
const BACKSLASH = "\\";
// RFC 8259, section 7; the others stand for themselves.
const CONTROLS: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/**
 * Told of the objects and names of a JSON text as they come, finds a name that stands twice in one object: readers differ
 * in which of the two counts, so such a text says one thing to one and another to the next. Linear in the text, whatever
 * the names are; keeps those of one object for each depth.
 */
export class NameWatch {
  /** The first that was found. */
  repeated: RepeatedName | undefined;
  readonly #except: string | undefined;
  /** By depth: the names so far of the object that is open there. */
  readonly #open: Names[] = [];
  #within = false;

  /** @param except The member of the outermost object in whose value names may stand twice. */
  constructor(except: string | undefined) {
    this.#except = except;
  }

  /** An object began; the outermost one has depth 1. */
  opened(depth: number): void {
    if (!this.#within) {
      this.#open[depth] = undefined;
    }
  }

  /** A name came, of the object that is open at this depth. Its quotes are at these offsets. */
  named(depth: number, text: string, from: number, to: number): void {
    if (this.#within && depth > 1) {
      return;
    }
    const raw = text.slice(from + 1, to);
    const name = raw.includes(BACKSLASH) ? unescaped(raw) : raw;
    if (depth === 1) {
      this.#within = name === this.#except;
    }
    const names = this.#open[depth];
    if (names === undefined) {
      this.#open[depth] = [name];
    } else if (!Array.isArray(names)) {
      const { size } = names;
      if (names.add(name).size === size) {
        this.repeated ??= { name, offset: from };
      }
    } else if (names.includes(name)) {
      this.repeated ??= { name, offset: from };
    } else if (names.push(name) === FEW) {
      this.#open[depth] = new Set(names);
    }
  }
}

type Names = string[] | Set<string> | undefined;

// What is no escape of JSON gives anything: JSON.parse refuses the text.
function unescaped(raw: string): string {
  return raw.length > LONG ? parsed(raw) : unescapedShort(raw);
}

function parsed(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return raw;
  }
}

// Takes a fraction of JSON.parse's time, and for a long name much of memory: a string for each piece.
function unescapedShort(raw: string): string {
  let name = "";
  let from = 0;
  for (let at = raw.indexOf(BACKSLASH); at !== -1; at = raw.indexOf(BACKSLASH, from)) {
    const escaped = raw.charAt(at + 1);
    const isUnit = escaped === "u";
    const end = at + (isUnit ? 6 : 2);
    const unit = isUnit ? String.fromCharCode(Number.parseInt(raw.slice(at + 2, end), 16)) : CONTROLS[escaped];
    name += raw.slice(from, at) + (unit ?? escaped);
    from = end;
  }
  return name + raw.slice(from);
}
