import { Presets, SingleBar } from "cli-progress";

const worthABar = 1_000_000;
const tickMs = 100;

export interface Progress {
  /** Sets how many bytes went over so far. */
  update(bytes: number): void;
  stop(): void;
}

/** A bar on stderr for a transfer of more than 1 MB when a terminal is there; else nothing. */
export function startProgress(what: string, totalBytes: number): Progress {
  if (totalBytes <= worthABar || !process.stderr.isTTY) return { update() {}, stop() {} };
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: `${what} {bar} {percentage}%  {value} of {total} MB`,
      formatValue: (value, _options, type) =>
        type === "value" || type === "total" ? (value / 1e6).toFixed(1) : String(value),
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  bar.start(totalBytes, 0);
  return { update: (bytes) => bar.update(Math.min(bytes, totalBytes)), stop: () => bar.stop() };
}

/** The same for a transfer that must be asked how far it is. */
export function pollProgress(what: string, totalBytes: number, bytesSoFar: () => number): Progress {
  const progress = startProgress(what, totalBytes);
  const timer = setInterval(() => progress.update(bytesSoFar()), tickMs);
  return {
    update: (bytes) => progress.update(bytes),
    stop() {
      clearInterval(timer);
      progress.stop();
    },
  };
}
