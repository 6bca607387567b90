import { writeFile } from "node:fs/promises";
import Table from "cli-table3";
import type { Measurement } from "./load.ts";

/** One figure. `ratio` is value over baseline; absent where nothing was measured beside it. */
export interface Figure {
  name: string;
  params: Record<string, string | number>;
  value: number;
  unit: string;
  baseline?: number;
  ratio?: number;
}

/** Rate and latencies of a load, each beside those of its baseline. */
export function figures(
  name: string,
  params: Figure["params"],
  measured: Measurement,
  baseline: Measurement,
): Figure[] {
  const figure = (what: keyof Measurement, unit: string): Figure => ({
    name: `${name}.${what}`,
    params,
    value: round(measured[what]),
    unit,
    baseline: round(baseline[what]),
    ratio: round(measured[what] / baseline[what]),
  });
  return [figure("rate", "1/s"), figure("p50", "ms"), figure("p95", "ms"), figure("p99", "ms")];
}

/** One line for each load: rate, baseline, ratio, latencies. */
export function table(all: readonly Figure[]): string {
  const lines = new Map<string, Figure[]>();
  for (const figure of all) {
    const key = JSON.stringify([figure.name.split(".")[0], figure.params]);
    lines.set(key, [...(lines.get(key) ?? []), figure]);
  }
  const rendered = new Table({
    head: [
      "load",
      "target",
      "mode",
      "in flight",
      "1/s",
      "bare 1/s",
      "ratio",
      "p50 ms",
      "p95 ms",
      "p99 ms",
      "bare p50 ms",
    ],
    style: { head: [], border: [], compact: true },
  });
  for (const group of lines.values()) {
    const of = (suffix: string) => group.find(({ name }) => name.endsWith(`.${suffix}`));
    const { name, params } = group[0] as Figure;
    const rate = of("rate");
    rendered.push(
      [
        name.split(".")[0],
        params.target,
        params.mode,
        params.inFlight,
        rate?.value,
        rate?.baseline,
        rate?.ratio,
        of("p50")?.value,
        of("p95")?.value,
        of("p99")?.value,
        of("p50")?.baseline,
      ].map((cell) => cell ?? ""),
    );
  }
  return rendered.toString();
}

/** One line for each load, direction and way, beside what the store gave directly. */
export function casTable(all: readonly Figure[]): string {
  const head = ["load", "in flight", "direction", "way", "gateway", "direct", "unit", "ratio", "p50 ms"];
  const rendered = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const { name, params, value, unit, baseline, ratio } of all) {
    const cells = [
      params.load,
      params.inFlight,
      name.split(".")[1],
      params.way,
      value,
      baseline,
      unit,
      ratio,
      params.p50,
    ];
    rendered.push(cells.map((cell) => cell ?? ""));
  }
  return rendered.toString();
}

/** One line for each load of uploads. */
export function uploadsTable(all: readonly Figure[]): string {
  const head = ["load", "size", "value", "unit", "beside", "ratio", "p50 ms", "p99 ms", "seconds"];
  const rendered = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const { params, value, unit, baseline, ratio } of all) {
    const cells = [params.load, params.size, value, unit, baseline, ratio, params.p50, params.p99, params.seconds];
    rendered.push(cells.map((cell) => cell ?? ""));
  }
  return rendered.toString();
}

export async function writeJson(file: string, all: readonly Figure[]): Promise<void> {
  await writeFile(file, `${JSON.stringify(all, undefined, 2)}\n`);
}

/** To four digits. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}
