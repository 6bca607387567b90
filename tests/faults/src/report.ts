import Table from "cli-table3";
import type { Outcome } from "./everything-dies.ts";

/** The closing table: one line for each round. */
export function closingTable(outcomes: readonly Outcome[]): string {
  const table = new Table({
    head: ["mode", "faults injected", "calls", "answered OK", "stored anyway", "lost", "half-stored", "overdue"],
    style: { head: [], border: [], compact: true },
  });
  for (const { mode, faults, calls, answeredOk, storedAnyway, lost, halfStored, overdue } of outcomes) {
    table.push([mode, faults, calls, answeredOk, storedAnyway, lost.length, halfStored.length, overdue.length]);
  }
  return table.toString();
}
