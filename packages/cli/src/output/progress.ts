import { clearLine, cursorTo } from "node:readline";
import { Presets, SingleBar } from "cli-progress";

const worthABar = 1_000_000;
const tickMs = 100;
/** Bars on the terminal, of which there is one. */
let shown = 0;

export interface Progress {
  /** Sets how many bytes went over so far; what was there at the first call does not count for the rate. */
  update(bytes: number): void;
  stop(): void;
}

/** A bar on stderr for a transfer of more than 1 MB when a terminal is there; else nothing. */
export function startProgress(what: string, totalBytes: number): Progress {
  if (totalBytes <= worthABar || !process.stderr.isTTY) return { update() {}, stop() {} };
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: `${what} {bar} {percentage}%  {value} of {total} MB  {rate} MB/s`,
      formatValue: (value, _options, type) =>
        type === "value" || type === "total" ? (value / 1e6).toFixed(1) : String(value),
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  const rate = new Rate();
  bar.start(totalBytes, 0, { rate: "0.0" });
  shown++;
  return {
    update: (bytes) => bar.update(Math.min(bytes, totalBytes), { rate: (rate.of(bytes) / 1e6).toFixed(1) }),
    stop() {
      bar.stop();
      shown--;
    },
  };
}

export interface Counter {
  /** Sets how many are done. */
  update(done: number): void;
  stop(): void;
}

/** A bar on stderr for so many things when a terminal is there; else nothing. */
export function startCounter(what: string, unit: string, total: number): Counter {
  if (total === 0 || !process.stderr.isTTY) return { update() {}, stop() {} };
  const format = `${what} {bar} {percentage}%  {value} of {total} ${unit}`;
  const bar = new SingleBar(
    { stream: process.stderr, format, clearOnComplete: true, hideCursor: true },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  shown++;
  return {
    update: (done) => bar.update(Math.min(done, total)),
    stop() {
      bar.stop();
      shown--;
    },
  };
}

/** Makes room for a line where a bar is shown; the bar comes back below it as soon as there is progress. */
export function clearProgress(): void {
  if (shown === 0) return;
  cursorTo(process.stderr, 0);
  clearLine(process.stderr, 1);
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

/** Bytes per second since the first value. */
class Rate {
  #first: { bytes: number; at: number } | undefined;

  of(bytes: number): number {
    const now = performance.now();
    this.#first ??= { bytes, at: now };
    const seconds = (now - this.#first.at) / 1_000;
    return seconds === 0 ? 0 : Math.max(0, bytes - this.#first.bytes) / seconds;
  }
}
