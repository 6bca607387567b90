import { createHash } from "node:crypto";
import { type ScrubPass, ScrubPassSchema } from "@attestry/api/cas";
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import type { Backend } from "../backends/backend.ts";
import { once } from "../blobs/once.ts";

/** What the scrubber keeps in each backend, so that it goes on after a restart, or another replica does. */
export interface ScrubState {
  /** The process that is at it; a UUID. */
  owner: string;
  /** Until when it is, unless it says so anew; by its own clock. */
  leaseUntil: Date;
  current: ScrubPass | undefined;
  last: ScrubPass | undefined;
}

const version = 1;
/** Two passes with 1,000 faults each are a tenth of it. */
const mostBytes = 4 * 1024 * 1024;

/** Undefined: there is none, or none that can be read, and a pass begins anew. */
export async function readState(
  backend: Backend,
  backendId: string,
  signal: AbortSignal,
): Promise<ScrubState | undefined> {
  const text = await readText(backend, backendId, signal);
  return text === undefined ? undefined : orNone(() => stateOf(text));
}

/** Only who is at it: a save asks for that alone, and passes with many findings take long to read. */
export async function readOwner(
  backend: Backend,
  backendId: string,
  signal: AbortSignal,
): Promise<Pick<ScrubState, "owner" | "leaseUntil"> | undefined> {
  const text = await readText(backend, backendId, signal);
  return text === undefined ? undefined : orNone(() => storedIn(text));
}

async function readText(backend: Backend, backendId: string, signal: AbortSignal): Promise<string | undefined> {
  const opened = await backend.read(stateKey(backendId), { offset: 0, length: undefined }, signal);
  if (opened === undefined) return undefined;
  try {
    if (opened.sizeBytes > mostBytes) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of opened.chunks) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } finally {
    await opened.close();
  }
}

export async function writeState(
  backend: Backend,
  backendId: string,
  { owner, leaseUntil, current, last }: ScrubState,
  signal: AbortSignal,
): Promise<void> {
  const stored = { version, owner, leaseUntil, current: jsonOf(current), last: jsonOf(last) };
  const bytes = Buffer.from(JSON.stringify(stored));
  const blob = { hex: createHash("sha256").update(bytes).digest("hex"), sizeBytes: bytes.byteLength };
  await backend.write(stateKey(backendId), blob, once(bytes), { signal });
}

/** Not one for all: a folder that two backends share has other attestations' bundles for each. */
function stateKey(backendId: string): string {
  return `scrub/${backendId}`;
}

function storedIn(text: string) {
  const found = JSON.parse(text) as Record<string, JsonValue | undefined>;
  const { owner, leaseUntil, current, last } = found;
  if (found.version !== version || typeof owner !== "string" || typeof leaseUntil !== "string") return undefined;
  return { owner, leaseUntil: new Date(leaseUntil), current, last };
}

/** Passes are stored as the API shows them; fields that another release knows are passed over. */
function stateOf(text: string): ScrubState | undefined {
  const stored = storedIn(text);
  return stored && { ...stored, current: passOf(stored.current), last: passOf(stored.last) };
}

function orNone<T>(parse: () => T | undefined): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

function passOf(json: JsonValue | undefined): ScrubPass | undefined {
  return json === undefined ? undefined : fromJson(ScrubPassSchema, json, { ignoreUnknownFields: true });
}

function jsonOf(pass: ScrubPass | undefined): JsonValue | undefined {
  return pass && toJson(ScrubPassSchema, pass);
}
