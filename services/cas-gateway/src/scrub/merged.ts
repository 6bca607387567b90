/** A digest of one of two sorted lists, or of both. */
export interface Merged<T> {
  hex: string;
  /** Undefined: it is not in the first list. */
  listed: T | undefined;
  isReferenced: boolean;
}

/** Walks two lists side by side, each of them ascending and without doubles, and holds one item of each. */
export async function* merged<T extends { hex: string }>(
  listed: AsyncIterable<T>,
  referenced: AsyncIterable<string>,
): AsyncGenerator<Merged<T>, void, void> {
  const left = listed[Symbol.asyncIterator]();
  const right = referenced[Symbol.asyncIterator]();
  try {
    let [one, other] = [await left.next(), await right.next()];
    while (one.done !== true || other.done !== true) {
      const isListed = one.done !== true && (other.done === true || one.value.hex <= other.value);
      const isReferenced = other.done !== true && (one.done === true || other.value <= one.value.hex);
      yield { hex: isListed ? one.value.hex : other.value, listed: isListed ? one.value : undefined, isReferenced };
      if (isListed) one = await left.next();
      if (isReferenced) other = await right.next();
    }
  } finally {
    await left.return?.();
    await right.return?.();
  }
}
