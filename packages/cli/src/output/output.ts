import Table from "cli-table3";
import { printable } from "./printable.ts";

export type Format = "json" | "table";

export type Cell = string | number | bigint | boolean | null | undefined;

export interface Column<T> {
  head: string;
  cell: (item: T) => Cell;
}

// No borders: columns by two spaces, so that a line can be copied, cut and searched.
const borderless = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** One JSON object on lines of its own. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Rows under a head; or one line that says there are none. */
export function tableText<T>(columns: readonly Column<T>[], items: readonly T[], none = "none"): string {
  if (items.length === 0) return `${none}\n`;
  const head = columns.map((column) => column.head.toUpperCase());
  return aligned([head, ...items.map((item) => columns.map((column) => cellText(column.cell(item))))]);
}

/** One thing: a line for each of its fields. */
export function fieldsText(fields: Record<string, Cell>): string {
  return aligned(Object.entries(fields).map(([name, cell]) => [name, cellText(cell)]));
}

function aligned(rows: string[][]): string {
  const table = new Table({
    chars: borderless,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows);
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined || cell === "") return "-";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return typeof cell === "string" ? printable(cell) : String(cell);
}
