/** A blob that was moved out of sight: no read finds it, and it can be brought back. */
export interface HiddenBlob {
  /** Where it lay. */
  key: string;
  storedAt: Date;
  hiddenAt: Date;
}

/**
 * How a backend lets go of blobs in two steps. Blobs come meanwhile: what was written anew is never hidden for long, and
 * never removed. Throws what the backend's other calls throw.
 */
export interface Expiry {
  /** What time it is where the blobs are, whose ages it is that count. */
  now(): Date;
  /** Whether `hide` would: something that was stored before then is there, not held, and none of its key is hidden that waits. */
  mayHide(key: string, before: Date, signal: AbortSignal): Promise<boolean>;
  /** Moves what was stored before then out of sight. False if it did not: for `mayHide` is so no more, or a newer one came. */
  hide(key: string, before: Date, signal: AbortSignal): Promise<boolean>;
  /** Everything that is out of sight, in any order; what a crash left half done is put right before. */
  hidden(signal: AbortSignal): AsyncIterable<HiddenBlob>;
  /** Brings a blob back, unless a newer one is in its place. */
  restore(hidden: HiddenBlob, signal: AbortSignal): Promise<void>;
  /** For good. False if the store holds it: then it counts as hidden just now. */
  remove(hidden: HiddenBlob, signal: AbortSignal): Promise<boolean>;
}
