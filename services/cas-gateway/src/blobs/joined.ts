/** The items of one source, and then those of the other. */
export async function* joined<T>(first: AsyncIterable<T>, second: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  yield* first;
  yield* second;
}
