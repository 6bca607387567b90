import { StoreFault } from "./s3-errors.ts";

/** What a request asks of the store beyond the plain S3 of old; a request names what it would use. */
export interface Features {
  /** `If-None-Match`, which spares asking before a PUT. */
  condition: boolean;
  /** `x-amz-checksum-*`, by which the store proves what it received. */
  checksum: boolean;
}

const notes: Record<keyof Features, string> = {
  condition:
    "the store does not know conditional writes (If-None-Match): a blob that is there already is written once more",
  checksum:
    "the store refuses checksum headers (x-amz-checksum-crc32): what it received is proven by the gateway's own digest alone",
};
const replacingNote =
  "the store does not know conditional replacement (If-Match): a blob found corrupt stays where it is until it is written again";

/**
 * What one store knows of what not every store knows: taken for granted until it refuses a request for it, and then
 * left out of all that follow.
 */
export class KnownFeatures {
  readonly #known: Features = { condition: true, checksum: true };
  readonly #notes: string[] = [];
  #replacing: boolean | undefined;

  get notes(): readonly string[] {
    return this.#notes;
  }

  /**
   * Sends a request with as much of `wanted` as the store knows; if that is refused, with less, until it is not.
   * Throws what the request throws, of more than one refusal the first.
   */
  async using<T>(wanted: Features, send: (features: Features) => Promise<T>): Promise<T> {
    const most = {
      condition: wanted.condition && this.#known.condition,
      checksum: wanted.checksum && this.#known.checksum,
    };
    let refusal: unknown;
    for (const features of lesserOf(most)) {
      try {
        const answer = await send(features);
        this.#learn(most, features);
        return answer;
      } catch (fault) {
        // That the condition is not met is an answer to what was asked.
        if (fault instanceof StoreFault && fault.isConditionUnmet) this.#learn(most, features);
        if (!(fault instanceof StoreFault) || !fault.isRefusal) throw fault;
        refusal ??= fault;
      }
    }
    throw refusal;
  }

  /** Whether the store knows `If-Match` of a PUT, which `ask` finds out; asked once. */
  async knowsReplacing(ask: () => Promise<boolean>): Promise<boolean> {
    this.#replacing ??= await ask();
    if (!this.#replacing) this.note(replacingNote);
    return this.#replacing;
  }

  /** Adds a sentence for an operator, once. */
  note(note: string): void {
    if (!this.#notes.includes(note)) this.#notes.push(note);
  }

  #learn(most: Features, accepted: Features): void {
    for (const name of ["condition", "checksum"] as const) {
      if (!most[name] || accepted[name]) continue;
      this.#known[name] = false;
      this.note(notes[name]);
    }
  }
}

/** All of them, then less, the checksum first. */
function lesserOf({ condition, checksum }: Features): Features[] {
  const all = [{ condition, checksum }];
  if (checksum) all.push({ condition, checksum: false });
  if (condition) all.push({ condition: false, checksum });
  if (condition && checksum) all.push({ condition: false, checksum: false });
  return all;
}
