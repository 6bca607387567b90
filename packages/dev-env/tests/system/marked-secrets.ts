import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

/** A JWT that is whole: header, payload and the beginning of a signature. Who has only a part of one has nothing. */
const wholeToken = /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{20,}/;

/** Secrets that are told from everything else, and the search for them in what was written. */
export class MarkedSecrets {
  readonly #forms = new Map<string, string>();

  /** A new secret, good for any header, URL or file. */
  mark(name: string): string {
    return this.add(name, `mark${randomBytes(15).toString("hex")}`);
  }

  /** One that somebody else made. */
  add(name: string, secret: string): string {
    if (secret.length < 16) throw new Error(`${name} is too short to be told from other text`);
    this.#forms.set(encodeURIComponent(secret), `${name}, escaped`);
    this.#forms.set(secret, name);
    this.#forms.set(Buffer.from(secret).toString("hex"), `${name}, in hex`);
    // By where it begins within three bytes, base64 writes it in one of three ways; both ends depend on what is around.
    for (const before of [0, 1, 2]) {
      const encoded = Buffer.from("a".repeat(before) + secret).toString("base64");
      this.#forms.set(encoded.slice(before === 0 ? 0 : 4, -4), `${name}, in base64`);
    }
    return secret;
  }

  /** The token, of which its signature is the secret. */
  addToken(name: string, token: string): string {
    this.add(name, token.split(".")[2] ?? "");
    return token;
  }

  /** What is found in the text: the names of secrets, with what stands around them. */
  foundIn(text: string, where: string): string[] {
    const found = [...this.#forms].flatMap(([form, name]) => placeOf(text, text.indexOf(form), `${name} in ${where}`));
    return [...found, ...placeOf(text, text.search(wholeToken), `a whole token in ${where}`)];
  }

  /** In all files below the folder but those that are meant to have secrets. */
  async foundBelow(folder: string, isMeant: (file: string) => boolean): Promise<string[]> {
    const found: string[] = [];
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      const relative = path.relative(folder, file);
      if (!entry.isFile() || isMeant(relative)) continue;
      found.push(...this.foundIn(await readFile(file, "latin1"), relative));
    }
    return found;
  }
}

function placeOf(text: string, at: number, what: string): string[] {
  return at === -1 ? [] : [`${what}: ${text.slice(Math.max(0, at - 150), at + 20)}...`];
}
