import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";

// Parsers of option values. What they throw, the parser of the command line reports as wrong usage.

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `90s`, `5m`, `2h`, `30d`, `1w`, `500ms`; a bare number is seconds. In milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?$/.exec(text);
  const milliseconds = match === null ? 0 : Number(match[1]) * (unitMs[match[2] ?? "s"] ?? 0);
  if (milliseconds <= 0) throw new InvalidArgumentError("Expected a duration such as 90s, 5m, 2h or 30d.");
  return milliseconds;
}

/** A time: RFC 3339 (`2026-11-24` or `2026-11-24T10:00:00Z`), or how long ago (`24h`, `7d`, `24h ago`). */
export function time(text: string): Timestamp {
  if (/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) return timestampFromMs(ms);
  }
  const ago = /^(\d+(?:\.\d+)?(?:s|m|h|d|w))(?:\s+ago)?$/.exec(text)?.[1];
  if (ago !== undefined) return timestampFromMs(Date.now() - duration(ago));
  throw new InvalidArgumentError("Expected a time such as 2026-11-24, 2026-11-24T10:00:00Z, or how long ago: 24h, 7d.");
}

export function positiveInteger(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || !Number.isSafeInteger(number)) {
    throw new InvalidArgumentError("Expected a whole number of at least 1.");
  }
  return number;
}

/** Bytes: `10000000`, `500KB`, `10MB`, `2GB` (powers of 1,000) or `KiB`, `MiB`, `GiB` (of 1,024). */
export function byteSize(text: string): bigint {
  const match = /^(\d+)\s*(?:([KMG])(i?)B)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Expected bytes such as 500KB, 10MB or 1048576.");
  const base = match[3] === "i" ? 1_024 : 1_000;
  return BigInt(Number(match[1]) * base ** ("KMG".indexOf(match[2] ?? " ") + 1));
}

export interface WorkflowName {
  project: string;
  workflow: string;
}

/** `PROJECT/NAME`. */
export function workflowName(text: string): WorkflowName {
  const parts = text.split("/");
  const [project, workflow] = parts;
  if (parts.length !== 2 || !project || !workflow)
    throw new InvalidArgumentError("Expected PROJECT/NAME, for example web/release.");
  return { project, workflow };
}

/** `PROJECT/NAME`, or `PROJECT` for all of its workflows. */
export function workflowFilter(text: string): WorkflowName {
  return text.includes("/") ? workflowName(text) : { project: text, workflow: "" };
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function digest(text: string): string {
  if (!digestPattern.test(text)) throw new InvalidArgumentError("Expected sha256: and 64 lower-case hex digits.");
  return text;
}

/** What a browser saves a file as: up to 255 bytes. */
export function fileName(text: string): string {
  if (text === "" || Buffer.byteLength(text) > 255 || /[\p{Cc}/\\]/u.test(text)) {
    throw new InvalidArgumentError("Expected a name of up to 255 bytes without slashes and control characters.");
  }
  return text;
}

/** A run's id. */
export function runId(text: string): string {
  if (!uuidPattern.test(text)) throw new InvalidArgumentError("Expected a run's UUID.");
  return text;
}

/** `ALGORITHM:VALUE`, as a statement names a subject's digest. */
export function subjectDigest(text: string): string {
  if (!/^[^:\s]+:\S+$/.test(text)) {
    throw new InvalidArgumentError("Expected ALGORITHM:VALUE, for example sha256:9f86... or gitCommit:a0cf....");
  }
  return text;
}

/** `NAME` or `_shared/NAME`. */
export function secretRef(text: string): string {
  if (!/^(_shared\/)?[a-z0-9][a-z0-9-]{0,62}$/.test(text)) {
    throw new InvalidArgumentError("Expected NAME or _shared/NAME, with up to 63 lower-case letters, digits and '-'.");
  }
  return text;
}

/** Of a backend's keys: path segments without `.` and `..`. */
export function keyPrefix(text: string): string {
  const segments = text.split("/");
  if (text.length > 200 || !segments.every((segment) => /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/.test(segment))) {
    throw new InvalidArgumentError(
      "Expected up to 200 letters, digits, '.', '_', '-' and '/', without '.', '..' or nothing between slashes.",
    );
  }
  return text;
}

/** A digest or a run's id, as requests have it in their `by`. */
export type DigestOrRun = { case: "digest"; value: string } | { case: "runId"; value: string };

/** What the text names of a server; undefined if it is neither a digest nor a run's id. */
export function storedName(text: string): DigestOrRun | undefined {
  if (uuidPattern.test(text)) return { case: "runId", value: text };
  return digestPattern.test(text) ? { case: "digest", value: text } : undefined;
}

export function digestOrRun(text: string): DigestOrRun {
  const name = storedName(text);
  if (name !== undefined) return name;
  throw new InvalidArgumentError("Expected a run's UUID, or sha256: and 64 lower-case hex digits.");
}
