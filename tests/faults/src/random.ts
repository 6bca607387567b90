/** Numbers from 0 to 1 that a seed decides, so that a run can be repeated. */
export type Random = () => number;

/** From ATTESTRY_FAULTS_SEED, or a new one. */
export function chooseSeed(): number {
  const given = Number(process.env.ATTESTRY_FAULTS_SEED);
  return Number.isInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * (2 ** 31 - 1));
}

/** Mulberry32: 32 bits of state are enough to choose moments by. */
export function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
