import Table from "cli-table3";
import type { Outcome } from "./experiment.ts";

/** The closing table: one line for each round. */
export function closingTable(outcomes: readonly Outcome[]): string {
  const table = new Table({
    head: [
      ...["mode", "faults injected", "calls", "answered OK", "stored anyway", "lost", "half-stored", "overdue", "bugs"],
      "mended by, at least",
    ],
    style: { head: [], border: [], compact: true },
  });
  for (const outcome of outcomes) {
    const { mode, faults, calls, answeredOk, storedAnyway, lost, halfStored, overdue, bugs } = outcome;
    table.push([
      ...[mode, faults, calls, answeredOk, storedAnyway, lost.length, halfStored.length, overdue.length, bugs.length],
      mendedBy(outcome),
    ]);
  }
  return table.toString();
}

function mendedBy({ mendedByClient, mendedBy = {} }: Outcome): string {
  const all = { "client's retry": mendedByClient, ...mendedBy };
  return Object.entries(all)
    .map(([by, count]) => `${by} ${count}`)
    .join("\n");
}
