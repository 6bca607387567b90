import { isMap, Lexer, LineCounter, parseDocument } from "yaml";
import type { ContractFormat } from "./contract.ts";

/** What a text is, or what is wrong with it and where, by lines and columns from 1. */
export type Parsed = { format: ContractFormat } | { fault: string; line?: number; column?: number };

/** Of YAML, counted before it is parsed: each takes some microseconds. A text of 1 MiB may have more than a million. */
const mostTokens = 300_000;
/** How often what `&` marks may be used by `*`, all in all: clients read the text too, and unfold it. */
const mostAliases = 100;

/** JSON or YAML with an object at its top. Runs in a thread too (contract-worker.ts), so it throws nothing and knows nobody. */
export function parseContract(bytes: Uint8Array): Parsed {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { fault: "it is not UTF-8" };
  }
  return isJsonObject(text) ? { format: "json" } : parseYaml(text);
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function parseYaml(text: string): Parsed {
  let tokens = 0;
  for (const _token of new Lexer().lex(text)) {
    if (++tokens > mostTokens) return { fault: `it has more than ${mostTokens} tokens` };
  }
  const lineCounter = new LineCounter();
  // Looking for keys that come twice takes the square of their number.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: "error" });
  const at = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line, column: col };
  };
  const [error] = document.errors;
  if (error !== undefined) return { fault: faultOf(error), ...at(error.pos[0]) };
  const { contents } = document;
  if (!isMap(contents)) return { fault: "it is no object at its top", ...at(contents?.range?.[0] ?? 0) };
  try {
    document.toJS({ maxAliasCount: mostAliases });
  } catch (cause) {
    return { fault: faultOf(cause as Error) };
  }
  return { format: "yaml" };
}

function faultOf({ message }: Error): string {
  return message === "Maximum call stack size exceeded" ? "it is nested too deeply" : message;
}
