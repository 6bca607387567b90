import { InvalidArgumentError } from "commander";

// How long things are kept, as a person says it and as a person is told.

/** In seconds; a year has 365.25 days. */
const units = { y: 31_557_600, w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };
const noBound = ["none", "forever", "0"];

/**
 * `90d`, `7y`, `12h`; `none`, `forever` or `0`: no bound. In seconds. A number without a unit is refused: who means 90
 * days must not get 90 seconds.
 */
export function keepTime(text: string): number {
  if (noBound.includes(text)) return 0;
  const [, amount, unit] = /^(\d{1,10})([ywdhms])$/.exec(text) ?? [];
  const seconds = Number(amount ?? 0) * units[(unit ?? "s") as keyof typeof units];
  if (seconds === 0)
    throw new InvalidArgumentError(
      "Expected a number and a unit (s, m, h, d, w, y), as 90d or 7y; or none, or forever.",
    );
  return seconds;
}

/** The bounds in words, in the largest unit that fits; weeks are told as days. */
export function keepWords(atLeastSeconds: number, atMostSeconds: number): string {
  const least = atLeastSeconds === 0 ? [] : [`at least ${timeWords(atLeastSeconds)}`];
  const most = atMostSeconds === 0 ? "forever" : `at most ${timeWords(atMostSeconds)}`;
  return [...least, most].join(", ");
}

/** In the largest unit that fits. */
export function timeWords(seconds: number): string {
  const [unit, size] = Object.entries(units).find(([name, each]) => name !== "w" && seconds % each === 0) ?? ["s", 1];
  return `${seconds / size}${unit}`;
}
