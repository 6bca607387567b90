/** Bounds the bytes that are in memory at once. Who asks first gets first, so that a large bundle is not passed over. */
export class ByteBudget {
  #left: number;
  readonly #waiting: { bytes: number; resolve: () => void }[] = [];

  /** No one may ask for more than `limit` bytes. */
  constructor(limit: number) {
    this.#left = limit;
  }

  /** Resolves once there is room for them. */
  take(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ bytes, resolve });
    this.#serve();
    return promise;
  }

  give(bytes: number): void {
    this.#left += bytes;
    this.#serve();
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined && next.bytes <= this.#left; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#left -= next.bytes;
      next.resolve();
    }
  }
}
