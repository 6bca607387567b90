/** A source of bytes that gives one piece at each step, so that a test decides who comes when. */
export class Puppet {
  readonly #pieces: readonly Uint8Array[];
  readonly #fault: Error | undefined;
  #asked = Promise.withResolvers<void>();
  #given = Promise.withResolvers<void>();

  /** @param fault thrown after the pieces; undefined: the source just ends */
  constructor(pieces: readonly Uint8Array[], fault?: Error) {
    this.#pieces = pieces;
    this.#fault = fault;
  }

  async *source(): AsyncGenerator<Uint8Array, void, void> {
    for (const piece of this.#pieces) {
      await this.#turn();
      yield piece;
    }
    await this.#turn();
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Gives the next piece, or the end; resolves when whoever reads asks for more, or `ended` does. */
  async step(ended: Promise<unknown>): Promise<void> {
    await Promise.race([this.#asked.promise, ended]);
    const given = this.#given;
    this.#asked = Promise.withResolvers();
    this.#given = Promise.withResolvers();
    given.resolve();
    await Promise.race([this.#asked.promise, ended]);
  }

  #turn(): Promise<void> {
    const { promise } = this.#given;
    this.#asked.resolve();
    return promise;
  }
}
