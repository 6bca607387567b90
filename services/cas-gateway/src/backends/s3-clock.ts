/** What time it is at the store: by the `Date` of its last answer, whatever the clock of this machine says. */
export class StoreClock {
  #heard: { date: number; at: number } | undefined;

  hear(date: string | undefined): void {
    const told = Date.parse(date ?? "");
    if (!Number.isNaN(told)) this.#heard = { date: told, at: performance.now() };
  }

  /** Undefined: the store has not told. */
  now(): Date | undefined {
    return this.#heard && new Date(this.#heard.date + performance.now() - this.#heard.at);
  }
}
