import DataLoader from "dataloader";

export interface BatchOptions {
  /** Batches under way at a time; what comes meanwhile gathers in the next one. */
  lanes: number;
  /** Keys in one batch. */
  maxBatch: number;
}

/**
 * Turns single calls into few statements: a batch leaves when a lane is free, so an idle service adds no delay and a
 * busy one makes its batches larger by itself. `run` answers in the order of the keys; an Error fails only its key.
 */
export function inBatches<K, V>(
  run: (keys: readonly K[]) => Promise<readonly (V | Error)[]>,
  { lanes, maxBatch }: BatchOptions,
): (key: K) => Promise<V> {
  const waiting: (() => void)[] = [];
  let busy = 0;

  function dispatchNext(): void {
    while (busy < lanes) {
      const dispatch = waiting.shift();
      if (dispatch === undefined) return;
      busy++;
      // One turn of the event loop later, so that calls that came in together leave together.
      setImmediate(dispatch);
    }
  }

  const loader = new DataLoader<K, V>(
    async (keys) => {
      try {
        return await run(keys);
      } finally {
        busy--;
        dispatchNext();
      }
    },
    {
      cache: false,
      maxBatchSize: maxBatch,
      batchScheduleFn(dispatch) {
        waiting.push(dispatch);
        dispatchNext();
      },
    },
  );
  return (key) => loader.load(key);
}
