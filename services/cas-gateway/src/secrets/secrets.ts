import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { codeOf } from "../backends/error-code.ts";
import { parseSecret, type Secret, secretInvalid } from "./secret.ts";

export interface ResolvedSecret {
  secret: Secret;
  /** Another one means that the file changed. */
  version: string;
}

const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;
const sharedFolder = "_shared";
const remembered = 1_000;

/**
 * The secrets that an operator mounts as files: `<folder>/<organization>/<NAME>.json`, and `<folder>/_shared/<NAME>.json` for
 * every organization. A file is read again when it changed.
 */
export class Secrets {
  readonly #folder: string;
  readonly #known = new LRUCache<string, ResolvedSecret>({ max: remembered });

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * What `NAME` means to the organization, or `_shared/NAME` to all; nothing else can be named.
   * Throws SECRET_INVALID, which names the reference and never the content or the file.
   */
  async resolve(organization: string, ref: string): Promise<ResolvedSecret> {
    const shared = ref.startsWith(`${sharedFolder}/`);
    const name = shared ? ref.slice(sharedFolder.length + 1) : ref;
    if (!namePattern.test(name) || !namePattern.test(organization)) {
      throw secretInvalid(
        ref.slice(0, 100),
        "a reference is NAME or _shared/NAME, in lower-case letters, digits and dashes",
      );
    }
    const file = join(this.#folder, shared ? sharedFolder : organization, `${name}.json`);
    const version = await versionOf(ref, file);
    const known = this.#known.get(file);
    if (known?.version === version) return known;
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      throw unreadable(ref, error);
    });
    const resolved = { secret: parseSecret(ref, text), version };
    this.#known.set(file, resolved);
    return resolved;
  }
}

/** Of the file that a link leads to: mounted secrets are links that are switched. */
async function versionOf(ref: string, file: string): Promise<string> {
  try {
    const { mtimeMs, ino, size } = await stat(file);
    return `${mtimeMs}-${ino}-${size}`;
  } catch (error) {
    throw unreadable(ref, error);
  }
}

function unreadable(ref: string, error: unknown): Error {
  const code = codeOf(error) ?? "an unknown fault";
  return secretInvalid(ref, code === "ENOENT" ? "there is no file for it" : `its file answered ${code}`);
}
