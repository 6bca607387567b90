import { readFile } from "node:fs/promises";
import { CommandError } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";
import { unreadable } from "./files/file-errors.ts";

const timeoutMs = 10_000;
const mostBytes = 64 * 1_024;

export interface IdTokenSource {
  audience: string;
  /** A file that holds it. */
  file?: string | undefined;
}

/**
 * The ID token of the CI job that this is: from a file, from ATTESTRY_ID_TOKEN (GitLab's `id_tokens` put it there), or
 * from GitHub Actions, which gives one for `permissions: id-token: write`. Throws CommandError ID_TOKEN_MISSING.
 */
export async function findIdToken(
  { audience, file }: IdTokenSource,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  if (file !== undefined) return readToken(file);
  if (env.ATTESTRY_ID_TOKEN) return env.ATTESTRY_ID_TOKEN.trim();
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = env;
  if (url && bearer) return askGithub(url, bearer, audience);
  throw missing(
    "no ID token: give --id-token-file, or set ATTESTRY_ID_TOKEN (GitLab: id_tokens), or `permissions: id-token: write` (GitHub Actions)",
  );
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function askGithub(requestUrl: string, bearer: string, audience: string): Promise<string> {
  const url = URL.parse(requestUrl);
  if (url === null) throw missing("ACTIONS_ID_TOKEN_REQUEST_URL is no URL");
  url.searchParams.set("audience", audience);
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  const answer = await fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(timeoutMs) }).catch(
    (cause: Error) => {
      throw missing(`GitHub gave no ID token: ${cause.message}`, cause);
    },
  );
  const text = (await answer.text()).slice(0, mostBytes);
  const value = answer.ok ? valueIn(text) : undefined;
  if (value === undefined) throw missing(`GitHub gave no ID token: it answered ${answer.status}`);
  return value;
}

function valueIn(text: string): string | undefined {
  try {
    const { value } = JSON.parse(text) as { value?: unknown };
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function missing(message: string, cause?: unknown): CommandError {
  return new CommandError("ID_TOKEN_MISSING", message, { exitCode: exitCodes.auth, cause });
}
